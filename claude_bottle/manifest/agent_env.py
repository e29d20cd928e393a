"""The variables from which each program reads its proxy and CA roots. The agent's environment is built from them. Pure.

`make docs` generates docs/programs.md from this table, and tests/tools/test_programs.py runs the versions in `tried`.
"""

from __future__ import annotations

from dataclasses import dataclass

from claude_bottle.policy.names.files import SYSTEM_ROOTS

# Where Debian's ca-certificates-java keeps its store. Without it claude_bottle/provision/trust.py creates one.
JAVA_STORE = "/etc/ssl/certs/java/cacerts"
_LOCAL = ("localhost", "127.0.0.1", "::1", "git-gate", "supervise")
_JAVA_LOCAL = ("localhost", "127.*", "[::1]", "git-gate", "supervise")

# Variable to value. {url}, {host} and {port} are the proxy's.
VARIABLES: dict[str, str] = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "{url}"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(_LOCAL)),
    **dict.fromkeys(("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), SYSTEM_ROOTS),
    **dict.fromkeys(("GIT_SSL_CAINFO", "PIP_CERT", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"), SYSTEM_ROOTS),
    **dict.fromkeys(("NIX_SSL_CERT_FILE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "DENO_CERT"), SYSTEM_ROOTS),
    "NODE_USE_ENV_PROXY": "1",
    "DENO_TLS_CA_STORE": "system",
    "YARN_HTTP_PROXY": "{url}",
    "YARN_HTTPS_PROXY": "{url}",
    "JAVA_TOOL_OPTIONS": " ".join(
        [
            *(f"-D{scheme}.proxyHost={{host}} -D{scheme}.proxyPort={{port}}" for scheme in ("http", "https")),
            f"-Dhttp.nonProxyHosts={'|'.join(_JAVA_LOCAL)}",  # for both schemes
            f"-Djavax.net.ssl.trustStore={JAVA_STORE}",
        ]
    ),
}
# Other variables that the bottle or every program relies on. A placeholder cannot be put into one.
OWN_ENV = frozenset(map(str.upper, VARIABLES)) | {
    "ALL_PROXY", "PATH", "HOME", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER",
    "ENABLE_TOOL_SEARCH",
}  # fmt: skip
_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_LOWER = ("http_proxy", "https_proxy", "no_proxy")  # curl and programs built on it read HTTP_PROXY only in lower case


@dataclass(frozen=True)
class Program:
    """reads: names in VARIABLES. source: its makers' documentation. tried: the version that was tested, or ""."""

    name: str
    reads: tuple[str, ...]
    source: str
    tried: str = ""
    note: str = ""


PROGRAMS = (
    Program("curl", (*_LOWER, "CURL_CA_BUNDLE"), "https://curl.se/docs/manpage.html", "8.14"),
    Program("git", (*_LOWER, "GIT_SSL_CAINFO"), "https://git-scm.com/docs/git-config", "2.47"),
    Program(
        "Python: requests",
        (*_PROXY, "REQUESTS_CA_BUNDLE"),
        "https://requests.readthedocs.io/en/latest/user/advanced/",
        "2.x",
    ),
    Program(
        "Python: urllib, httpx",
        (*_PROXY, "SSL_CERT_FILE"),
        "https://www.python-httpx.org/environment_variables/",
        "3.13, 0.28",
    ),
    Program("pip", (*_PROXY, "PIP_CERT"), "https://pip.pypa.io/en/stable/topics/https-certificates/", "25.1"),
    Program(
        "uv", (*_PROXY, "SSL_CERT_FILE"), "https://docs.astral.sh/uv/concepts/authentication/certificates/", "0.13"
    ),
    Program(
        "gRPC: Python, C++, Node",
        (*_LOWER, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
        "https://grpc.github.io/grpc/core/md_doc_environment_variables.html",
        "grpcio 1.x",
    ),
    Program(
        "aws, boto3",
        (*_PROXY, "REQUESTS_CA_BUNDLE"),
        "https://github.com/boto/botocore/blob/develop/botocore/endpoint.py",
        "2.23",
        "Not AWS_CA_BUNDLE, which it reads first: rclone fails if that is set.",
    ),
    Program(
        "rclone, gh, Go", (*_PROXY, "SSL_CERT_FILE"), "https://pkg.go.dev/crypto/x509#SystemCertPool", "1.60, 2.46"
    ),
    Program(
        "gcloud",
        (*_PROXY, "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"),
        "https://docs.cloud.google.com/sdk/docs/proxy-settings",
        note="Not CLOUDSDK_PROXY_*: they make it ignore NO_PROXY.",
    ),
    Program(
        "Node.js",
        (*_PROXY, "NODE_USE_ENV_PROXY", "NODE_EXTRA_CA_CERTS"),
        "https://nodejs.org/api/cli.html#node_use_env_proxy1",
        "20.19, roots alone; 24",
        "`fetch` and `http` use the proxy since 22.21 and 24.5. Debian 13 has 20, which uses none: `agent.npm:"
        " [node@24]` installs one that does.",
    ),
    Program("npm", (*_PROXY, "NODE_EXTRA_CA_CERTS"), "https://docs.npmjs.com/cli/v11/using-npm/config#proxy", "9.2"),
    Program(
        "Yarn 2 to 4",
        ("YARN_HTTP_PROXY", "YARN_HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"),
        "https://yarnpkg.com/configuration/yarnrc#httpProxy",
        "4",
        note="It aborts on an unknown YARN_ variable, such as YARN_NO_PROXY.",
    ),
    Program(
        "Deno",
        (*_PROXY, "DENO_CERT", "DENO_TLS_CA_STORE"),
        "https://docs.deno.com/runtime/reference/env_variables/",
        "2",
    ),
    Program(
        "Java: Maven, Gradle, sbt",
        ("JAVA_TOOL_OPTIONS",),
        "https://docs.oracle.com/en/java/javase/21/core/java-networking.html",
        "OpenJDK 21",
        "Any JDK: the roots are in one PKCS12 store. Each JVM reports the variable on standard error.",
    ),
    Program(
        "cargo", (*_LOWER, "SSL_CERT_FILE"), "https://doc.rust-lang.org/cargo/reference/config.html#httpcainfo", "1.85"
    ),
    Program(
        "Ruby", (*_LOWER, "SSL_CERT_FILE"), "https://docs.openssl.org/3.5/man3/SSL_CTX_load_verify_locations/", "3.3"
    ),
    Program(
        "PHP, Composer",
        (*_LOWER, "SSL_CERT_FILE"),
        "https://getcomposer.org/doc/03-cli.md#http-proxy-or-http-proxy",
        "8.4, roots alone",
        "PHP's own streams use only a proxy that the script names; its curl and Composer use these variables.",
    ),
    Program("Nix", (*_LOWER, "NIX_SSL_CERT_FILE"), "https://nix.dev/manual/nix/stable/installation/env-variables", "2"),
    Program(
        "Chromium, Chrome, Playwright",
        _PROXY,
        "https://chromeenterprise.google/policies/#CACertificates",
        "Debian's 156",
        "It reads its roots from a policy file and, if `certutil` (libnss3-tools) is installed, from the NSS database "
        "of `node`. It needs `--no-sandbox`, as Playwright starts it: the bottle is its sandbox.",
    ),
)


def program_env(proxy: str) -> dict[str, str]:
    """The environment that every program needs to reach the proxy and to trust it. proxy: host:port."""
    host, _, port = proxy.rpartition(":")
    return {name: value.format(url=f"http://{proxy}", host=host, port=port) for name, value in VARIABLES.items()}


def programs_page() -> str:
    """The content of docs/programs.md."""
    rows = [
        f"| {one.name} | {', '.join(f'`{name}`' for name in one.reads)} | {one.tried or 'not run'} "
        f"| {one.note} | [its makers]({one.source}) |"
        for one in PROGRAMS
    ]
    values = [f"| `{name}` | `{_cell(value)}` |" for name, value in VARIABLES.items()]
    return "\n".join([_HEAD, *rows, _MIDDLE, *values, ""])


def _cell(value: str) -> str:
    return value.replace("|", "\\|")


_HEAD = """# Programs, and what they read

`make docs` writes this page from `claude_bottle/manifest/agent_env.py`, which also defines the agent's environment.
`env` of the manifest overrides that environment, except for seven names of proxy and roots (`HTTPS_PROXY` and the
like), which it cannot set.

There is no name server. A program that resolves a name itself, instead of asking its proxy, fails within a second or
two, because each resolver of a bottle asks once and waits a second. Docker 20.10's own resolver never answers.

`tests/tools/test_programs.py` runs each tried program in a bottle with no other settings.

| program | reads | tried | note | source |
|---|---|---|---|---|"""
_MIDDLE = """
## The variables
`{url}`, `{host}` and `{port}` are the proxy's.

| variable | value |
|---|---|"""
