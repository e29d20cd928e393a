"""What a route's `follow` may be: what the answers of an index name on other hosts may be read. Pure."""

LINKS, REDIRECTS = "links", "redirects"  # what a route follows: also what its answers' texts name, or redirects alone
KINDS = (LINKS, REDIRECTS)
READS = ("GET", "HEAD")
