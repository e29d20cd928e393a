"""The hosts of a bottle that take a model's conversations, in which the same text is sent with every turn. Pure.

Sources: the base URLs of the APIs' references (Anthropic, OpenAI, Gemini, Mistral, OpenRouter, Azure OpenAI); Google
Cloud, "Vertex AI locations"; AWS, "Endpoints supported by Amazon Bedrock"; Claude Code, "LLM gateway configuration"
(the variables, which also name a LiteLLM).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_HOSTS = re.compile(
    r"api\.(anthropic|openai|mistral)\.(com|ai)|openrouter\.ai|generativelanguage\.googleapis\.com"
    r"|([a-z0-9-]+-)?aiplatform\.googleapis\.com|bedrock-runtime(-fips)?\.[a-z0-9-]+\.amazonaws\.com"
    r"|bedrock-mantle\.[a-z0-9-]+\.api\.aws"
    r"|(\*|[a-z0-9-]+)\.openai\.azure\.com"
)
_VARIABLES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL", "OPENAI_BASE_URL")


def is_model_gateway(host: str, env: Mapping[str, str]) -> bool:
    """Whether this host of the manifest takes conversations. env: the agent's environment variables."""
    named = {urlsplit(env.get(name, "")).hostname for name in _VARIABLES}
    return host in named or _HOSTS.fullmatch(host) is not None
