"""The two certificate authorities of a bottle: egress signs for the agent, pipelock signs for egress."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from claude_bottle.engines.component_types import formerly
from claude_bottle.host.type_tokens import token

_YEAR_HOURS = 365 * 24
_RENEW_HOURS = 60 * 24


@dataclass(frozen=True)
class Authority:
    """A CA: `key` (SEC1 PEM) is secret, `cert` (PEM) is not."""

    key: pulumi.Output[str]
    cert: pulumi.Output[str]

    @property
    def key_and_cert(self) -> pulumi.Output[str]:
        """One PEM, key first, as mitmproxy reads it; secret."""
        pem: pulumi.Output[str] = pulumi.Output.concat(self.key, self.cert)
        return pulumi.Output.secret(pem)

    @property
    def sha256(self) -> pulumi.Output[str]:
        """Fingerprint of the certificate, upper-case hex with colons, as openssl prints it."""
        return self.cert.apply(fingerprint)


def fingerprint(pem: str) -> str:
    """SHA-256 of the DER form of a PEM certificate."""
    body = "".join(line for line in pem.strip().splitlines() if not line.startswith("-----"))
    digest = hashlib.sha256(base64.b64decode(body)).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


@dataclass
class AuthoritiesArgs:
    """stack: its name, which the subjects contain. has_egress: whether egress gets an authority too."""

    stack: str
    has_egress: bool


class Authorities(pulumi.ComponentResource):
    """ECDSA P-256 (the upstream pipelock refuses other keys), one year, renewed by an `up` in the last 60 days."""

    egress: Authority | None
    pipelock: Authority

    def __init__(self, name: str, args: AuthoritiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Authorities"), name, {}, formerly(opts, "authorities:Authorities"))
        self.pipelock = self._authority(f"{name}-pipelock", f"claude-bottle {args.stack} pipelock")
        self.egress = (
            self._authority(f"{name}-egress", f"claude-bottle {args.stack} egress") if args.has_egress else None
        )
        self.register_outputs({})

    @property
    def agent(self) -> Authority:
        """The authority that the agent trusts: that of the proxy it connects to."""
        return self.egress or self.pipelock

    def _authority(self, name: str, common_name: str) -> Authority:
        child = pulumi.ResourceOptions(parent=self)
        key = tls.PrivateKey(
            f"{name}-key",
            algorithm="ECDSA",
            ecdsa_curve="P256",
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    additional_secret_outputs=["privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"]
                ),
            ),
        )
        pem: pulumi.Output[str] = pulumi.Output.secret(key.private_key_pem)
        cert = tls.SelfSignedCert(
            f"{name}-cert",
            private_key_pem=pem,
            is_ca_certificate=True,
            allowed_uses=["cert_signing", "crl_signing"],
            validity_period_hours=_YEAR_HOURS,
            early_renewal_hours=_RENEW_HOURS,
            set_subject_key_id=True,
            subject=tls.SelfSignedCertSubjectArgs(common_name=common_name, organization="claude-bottle"),
            opts=child,
        )
        return Authority(pem, pulumi.Output.unsecret(cert.cert_pem))
