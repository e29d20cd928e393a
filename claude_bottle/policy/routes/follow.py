"""The values of a route's `follow`: which addresses on other hosts, named by an index's responses, may be read.
Pure."""

LINKS, REDIRECTS = "links", "redirects"  # links: also addresses in the text of responses; redirects: only those
KINDS = (LINKS, REDIRECTS)
READS = ("GET", "HEAD")
SAYS = {
    LINKS: "may read whatever address its answers name on hosts without a route by GET and HEAD and no credential",
    REDIRECTS: "may read where its redirects lead on hosts without a route by GET and HEAD and no credential",
}
