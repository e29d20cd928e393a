"""What a route's `follow` may be: what the answers of an index name on other hosts may be read. Pure."""

LINKS, REDIRECTS = "links", "redirects"  # what a route follows: also what its answers' texts name, or redirects alone
KINDS = (LINKS, REDIRECTS)
READS = ("GET", "HEAD")
SAYS = {
    LINKS: "may read whatever address its answers name on hosts without a route by GET and HEAD and no credential",
    REDIRECTS: "may read where its redirects lead on hosts without a route by GET and HEAD and no credential",
}
