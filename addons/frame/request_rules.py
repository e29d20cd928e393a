"""Headers and parameters that make an upstream see another request, or another caller, than the judged one. Pure.

Each list says who reads its names. Names are compared as the loosest reader does: in lower case, every character but
letters and digits as `-`, because CGI, WSGI and PHP make `_` of them (RFC 3875, 4.1.18; PEP 3333).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from claude_bottle.policy.names.header_names import plain_name

Header = tuple[bytes, bytes]


def _all(by_reader: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for names in by_reader.values() for name in names.split())


# Refused: they name another method, path or host.
OVERRIDE_HEADERS = _all(
    {
        "Rack::MethodOverride, Laravel, Symfony, Express' method-override, Google's APIs": "x-http-method-override",
        "OData and ASP.NET ([MS-ODATA] 2.2.5.8)": "x-http-method",
        "IBM, iris, Express' method-override (README)": "x-method-override x-method x-http-verb",
        "Catalyst::Request::REST and Plack's MethodOverride": "x-tunneled-method",
        "Traefik's ForwardAuth, nginx' auth_request (their docs)": "x-forwarded-method x-original-method",
        "IIS URL Rewrite, Zend, Symfony up to CVE-2018-14773": "x-original-url x-rewrite-url unencoded-url "
        "iis-wasurlrewritten x-rewrite-uri x-rewritten-url x-override-url",
        "ingress-nginx, Traefik, Spring's ForwardedHeaderFilter": "x-original-uri x-forwarded-uri x-forwarded-url "
        "x-forwarded-path x-forwarded-prefix",
        "WSGI and CGI behind a prefix (Werkzeug's ProxyFix; RFC 3875, 4.1)": "x-script-name script-name path-info "
        "orig-path-info path-translated context-path query-string request-method request-uri request-url server-name "
        "http-host http-url",
        "Rack::Sendfile (CVE-2025-61780)": "x-sendfile-type x-accel-mapping",
        "Envoy (its header list)": "x-envoy-original-path x-envoy-original-host",
        "Azure App Service": "disguised-host x-waws-unencoded-url",
        "Django (USE_X_FORWARDED_HOST), Rails, Symfony's trusted headers": "x-forwarded-host x-forwarded-server",
        "RFC 7239 (host=)": "forwarded",
        "PortSwigger: param-miner's resources/headers, HTTP Host header attacks": "x-host x-real-host x-original-host "
        "x-http-host-override x-host-override x-backend-host x-server-name x-forwarded-authority x-original-authority "
        "proxy-host real-method x-ajax-real-method x-http-path-override x-http-destinationurl x-original-http-command "
        "x-ning-request-uri x-proxy-url x-cf-url base-url proxy-request-fulluri",
    }
)

# Removed: they describe a request's origin or route, which an upstream may believe, and no route depends on.
FORWARDING_HEADERS = _all(
    {
        "nginx, Apache, HAProxy (their docs)": "x-forwarded-for x-forwarded-proto x-forwarded-port x-forwarded-ssl "
        "x-forwarded-scheme x-forwarded-protocol x-forwarded-by x-forwarded x-real-ip x-url-scheme x-scheme",
        "RFC 9110, 7.6.3": "via",
        "Microsoft's Front-End-Https and ARR": "front-end-https x-arr-ssl x-https x-azure-clientip x-azure-socketip",
        "Cloudflare": "cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-visitor true-client-ip",
        "Fastly, Fly, Google App Engine, Envoy": "fastly-client-ip fly-client-ip x-appengine-user-ip "
        "x-envoy-external-address",
        "param-miner's resources/headers": "x-client-ip client-ip x-cluster-client-ip x-remote-ip x-remote-addr "
        "remote-addr x-originating-ip x-original-forwarded-for x-forwarded-for-original forwarded-for",
        "hop by hop (RFC 9110, 11.7; curl's and old browsers' habit)": "proxy-authorization proxy-connection",
    }
)

# They would identify the agent as somebody other than the owner of the injected credential. Removed where one is
# injected. Source: each vendor's own page on authentication.
CREDENTIAL_HEADERS = _all(
    {
        "RFC 9110, 11.6.2; RFC 6265; RFC 2965": "authorization cookie cookie2",
        "Anthropic, AWS API Gateway": "x-api-key",
        "Azure OpenAI and New Relic; Supabase and Kong": "api-key apikey x-apikey",
        "OpenStack Keystone": "x-auth-token x-subject-token x-service-token",
        "GitLab's REST API": "private-token job-token deploy-token sudo",
        "Cloudflare's API and Access": "x-auth-key x-auth-email x-auth-user-service-key cf-access-client-id "
        "cf-access-client-secret cf-access-jwt-assertion cf-access-token",
        "Google Cloud: API keys, IAP": "x-goog-api-key x-goog-iap-jwt-assertion",
        "AWS: SigV4, S3 Express": "x-amz-security-token x-amz-s3session-token",
        "HashiCorp Vault, Consul, Nomad": "x-vault-token x-consul-token x-nomad-token",
        "Datadog": "dd-api-key dd-application-key",
        "Azure: API Management, Functions, App Service": "ocp-apim-subscription-key x-functions-key x-zumo-auth "
        "x-ms-client-principal",
        "Figma, Shopify, CircleCI, RapidAPI": "x-figma-token x-shopify-access-token circle-token x-rapidapi-key",
        "JFrog, NuGet, Octopus": "x-jfrog-art-api x-nuget-apikey x-octopus-apikey",
        "New Relic, Sentry, Honeycomb": "x-query-key x-insert-key x-license-key x-sentry-auth x-honeycomb-team",
        "ElevenLabs, Fastly, Binance, Redmine": "xi-api-key fastly-key x-mbx-apikey x-redmine-api-key",
        "Parse, Appwrite, Hasura, Postmark": "x-parse-rest-api-key x-parse-master-key x-parse-session-token "
        "x-appwrite-key x-appwrite-session x-hasura-admin-secret x-postmark-server-token x-postmark-account-token",
        "oauth2-proxy, Pomerium, Grafana's auth proxy": "x-forwarded-user x-forwarded-email x-forwarded-groups "
        "x-forwarded-preferred-username x-forwarded-access-token x-pomerium-jwt-assertion x-webauth-user",
        "RFC 3875, 4.1.11; Kubernetes' authenticating proxy": "remote-user x-remote-user x-remote-group",
        "RFC 9440; Envoy; nginx and Apache": "client-cert client-cert-chain x-forwarded-client-cert ssl-client-cert "
        "x-ssl-client-cert x-client-cert",
        "names in common use (param-miner's resources/headers)": "x-access-token access-token auth-token x-api-token "
        "x-session-token x-token x-authorization authentication x-authentication",
    }
)
_FAMILIES = (
    *("x-amzn-oidc-", "x-ms-client-principal-", "x-ms-token-"),  # AWS load balancers; Azure App Service
    *("x-auth-request-", "x-goog-authenticated-user-"),  # oauth2-proxy; Google's IAP
    *("impersonate-", "x-remote-extra-"),  # Kubernetes
    "x-ssl-client-",
)

# A list of vendors is never complete, so a telling name counts too; some tokens mark a position or a format.
_SAYS_CREDENTIAL = re.compile(
    "(?:^|-)(?:auth[a-z]*|token|secret|api-?key|apikey|credentials?|jwt|password|passwd|sudo|impersonat[a-z]*|oidc|sso)(?:-|$)"
)
_SAYS_OTHER = re.compile(
    "^x-amz-meta-|^x-amzn?-client-token$|(?:^|-)(?:csrf|xsrf|continuation|page|sync|next|cancel|upload|idempotency)(?:-|$)|authority"
)

# The same in a query; refused where a credential is injected.
CREDENTIAL_PARAMETERS = _all(
    {
        "RFC 6750, 2.3; RFC 6749; OpenID Connect": "access-token refresh-token id-token client-secret client-assertion",
        "GitLab": "private-token job-token deploy-token feed-token rss-token sudo",
        "AWS, Google and Alibaba: presigned URLs": "x-amz-signature x-amz-credential x-amz-security-token "
        "awsaccesskeyid x-goog-signature x-goog-credential googleaccessid ossaccesskeyid key-pair-id",
        "Azure: SAS, API Management": "sig subscription-key",
        "Firebase, HubSpot, CircleCI": "auth hapikey circle-token",
        "names in common use (OWASP API2:2023; param-miner's resources/params)": "api-key apikey x-api-key api-token "
        "apitoken auth-token authtoken oauth-token bearer-token accesstoken session-token personal-access-token jwt "
        "authorization x-goog-api-key",
    }
)

# Another method, in a query or a form.
METHOD_PARAMETERS = _all(
    {
        "Rack, Laravel, Symfony, CakePHP, Spring's HiddenHttpMethodFilter": "-method",
        "Salesforce; Google's front end": "-httpmethod $httpmethod",
        "Firebase, Jersey": "x-http-method-override x-http-method x-method-override",
        "wai-extra; Catalyst::Request::REST": "-method-override x-tunneled-method",
        "variants of these": "-http-method -request-method -requestmethod http-method-override",
    }
)

# Allowed options of a Connection header (RFC 9110, 7.6.1; RFC 7540, 3.2.1). The next proxy removes any other header
# that is named there, even the owner's credential.
_CONNECTION_OPTIONS = frozenset(("", "close", "keep-alive", "upgrade", "te", "http2-settings", "trailer", "trailers"))


def judge_head(
    headers: Sequence[Header], path: str, *, has_token: bool, allowed: frozenset[str] = frozenset()
) -> tuple[str, str] | None:
    """(reason, message) if the head is refused, or None. allowed: names that the owner listed on the route.

    has_token: a credential is injected for some path of this host.
    """
    passed = {plain_name(name.encode()) for name in allowed}
    for raw, value in headers:
        name = plain_name(raw)
        if name in OVERRIDE_HEADERS and name not in passed:
            shown = raw.decode("latin-1")[:60]
            return "ambiguous_request", f"The header {shown} can make the upstream see another request; leave it out."
        if name == "connection" and not _options(value) <= _CONNECTION_OPTIONS:
            return "ambiguous_request", "The Connection header names other headers; leave them out of it."
    for name in _parameters(path):
        if name in METHOD_PARAMETERS and name not in passed:
            return "ambiguous_request", "A parameter of the URL asks for another method; use that method."
        if has_token and name in CREDENTIAL_PARAMETERS and name not in passed:
            words = f"The URL's parameter {name} is a credential, and egress injects one for this host."
            return "other_credential", words
    return None


def strip_head(
    headers: Sequence[Header], *, has_token: bool, injected: frozenset[str], allowed: frozenset[str] = frozenset()
) -> list[Header]:
    """The headers to forward, in order and byte for byte: without forwarding headers, and without credentials if one is
    injected. injected: the names that egress fills in on this host. allowed: names that stay."""
    own = {plain_name(name.encode()) for name in injected}
    passed = {plain_name(name.encode()) for name in allowed} - own

    def goes(name: str) -> bool:
        """Whether a plain name stays."""
        if name in passed:
            return True
        if name in FORWARDING_HEADERS or name in own:
            return False
        return not has_token or not is_credential(name)

    return [(name, value) for name, value in headers if goes(plain_name(name))]


def is_credential(name: str) -> bool:
    """True for a plain name by which some server identifies the caller: listed, or by its words."""
    listed = name in CREDENTIAL_HEADERS or name.startswith(_FAMILIES)
    return listed or bool(_SAYS_CREDENTIAL.search(name) and not _SAYS_OTHER.search(name))


def _options(value: bytes) -> frozenset[str]:
    return frozenset(option.strip().lower() for option in value.decode("latin-1").split(","))


def _parameters(path: str) -> Iterator[str]:
    """Names in the query, and of parameters in the path (`;name=`), decoded up to twice, as some server might."""
    for part in re.split("[?&;]", path)[1:]:
        name = part.partition("=")[0].encode("utf-8", "surrogateescape").replace(b"+", b" ")
        for _ in range(3):
            bare = re.split(r"[\[\]\0]", name.decode("latin-1").lower().lstrip("\0\t\n\r []"), maxsplit=1)[0]
            yield re.sub("[_. ]", "-", bare.rstrip())
            name = unquote_to_bytes(name)
