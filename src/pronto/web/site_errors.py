"""Sentences of faults that several files of the site say."""

FOREIGN = "This form was not sent from one of our own pages, so nothing was done. Please open the page and try again."
STALE = (
    "This form does not belong to your browser any more, so nothing was done: perhaps you signed in or out meanwhile, "
    "or cookies are turned off. Please open the page again."
)
NEEDS_HTTPS = (
    "Nobody can sign in over plain http from another machine: passwords could be read on the way. Please use the https "
    "address of this server. Its operator can set `public_url` where a proxy speaks https, or allow this for a test "
    "with --insecure-http."
)
