"""The command line. Each group of commands is a file of its own, imported when it is used."""
