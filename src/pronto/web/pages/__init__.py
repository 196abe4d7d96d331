"""One file for each group of pages. A page is a coroutine from a Visit to a Response."""
