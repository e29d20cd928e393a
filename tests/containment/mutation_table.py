"""What is taken away, layer by layer. tests/unit/test_mutations.py sees to it that each edit still finds its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """edits: (file, regular expression, replacement); each must match, or there is nothing taken away.

    rows: a regular expression of the attacks that judge it; "" for all of its layer. tests: pytest arguments of what
    judges it in their place, for what is no way out.
    """

    layer: str
    what: str
    edits: tuple[tuple[str, str, str], ...]
    rows: str = ""
    tests: tuple[str, ...] = ()


MUTATIONS = (
    Mutation("network", "agent network not internal, host on the bridge", (
        ("claude_bottle/engines/docker/resources/network.py", r"internal=kind != OUTSIDE\)", 'internal=kind not in ("agent", OUTSIDE))'),
        ("claude_bottle/engines/docker/steps/prove.py", r"lines := problems\(given\)", "lines := list[str]()"),
    )),
    Mutation("dns", "agent's name server is one that answers, on the host", (
        ("claude_bottle/engines/docker/resources/network.py", r'CLOSED_DNS = "127.0.0.1"', 'CLOSED_DNS = "172.17.0.1"'),
        ("claude_bottle/engines/docker/resources/network.py", r"internal=kind != OUTSIDE\)", 'internal=kind not in ("agent", OUTSIDE))'),
        ("claude_bottle/engines/docker/steps/prove.py", r"lines := problems\(given\)", "lines := list[str]()"),
    )),
    Mutation("egress-routes", "default deny: an undeclared host gets the first route's rules", (
        ("claude_bottle/policy/routes/table.py", r"        if not patterns:\n            return \[\]", "        if not patterns:\n            return [Route(host)]"),
        ("addons/pipelock/core.py", r"if not any_match\(\[pattern for pattern in self\.allowlist if not ended\(self\.until\.get\(pattern\)\)\], host\):", "if False:"),
    )),
    Mutation("egress-routes", "what follows an answer keeps the agent's headers", (
        ("addons/egress/addon.py", r"        if decision\.named is not None:\n            headers\.fields = .*\n            return\n", ""),
        ("addons/pipelock/addon.py", r"if decision\.named is not None and decision\.request is not None:", "if False:"),
    ), rows="follow-headers"),
    Mutation("egress-routes", "the answer to any request names addresses", (
        ("addons/follow/named.py", r"return request\.method in READS and request\.scheme == .*", "return True"),
    ), rows="follow-search"),
    Mutation("egress-routes", "any address is read of a host that was named", (
        ("addons/follow/named.py", r'blake2b\(f"\{host\}\\0\{path\}"', 'blake2b(f"{host}"'),
    ), rows="follow-(not-named|other-query)"),
    Mutation("egress-ports", "any port", (
        ("addons/frame/proxy.py", r"if port not in ALLOWED_PORTS\.values\(\):", "if False:"),
        ("claude_bottle/policy/routes/table.py", r"if ALLOWED_PORTS\.get\(scheme\) != port:", "if False:"),
        ("addons/pipelock/core.py", r"if ALLOWED_PORTS\.get\(scheme\) != port:", "if False:"),
    )),
    Mutation("egress-host", "any spelling of an address is a host name", (
        ("claude_bottle/policy/names/hosts.py", r"    if is_ip_literal\(name\):\n        raise ValueError\(\"an IP address is not a host name\"\)", "    name = name.strip('[]').rstrip('.')"),
        ("claude_bottle/policy/names/hosts.py", r"        if not _LABEL\.match\(label\):\n            raise ValueError\(\"not a host name\"\)", "        pass"),
        ("claude_bottle/policy/routes/table.py", r"        if not patterns:\n            return \[\]", "        if not patterns:\n            return [Route(host)]"),
        ("addons/pipelock/core.py", r"if not any_match\(\[pattern for pattern in self\.allowlist if not ended\(self\.until\.get\(pattern\)\)\], host\):", "if False:"),
        ("addons/pipelock/addon.py", r"if data\.server\.address is None or is_ip_literal\(data\.server\.address\[0\]\):", "if False:"),
        ("addons/pipelock/vetted_names.py", r"return policy\.refuse_addresses\(host, .*\)", "return None"),
    )),
    Mutation("egress-agreement", "CONNECT, SNI and Host need not agree", (
        ("addons/frame/request_target.py", r"    host = canonical_host\(request\.host\)\n    target = tunnels", "    return (tunnels.target(flow.client_conn) or (canonical_host(request.pretty_host), 0))[0]\n    host = canonical_host(request.host)\n    target = tunnels"),
    )),
    Mutation("egress-tokens", "a placeholder passes anywhere", (
        ("addons/egress/checks.py", r"    if lost is not None:", "    if False:"),
    ), rows="placeholder-"),
    Mutation("egress-tokens", "a credential of the agent's own passes everywhere", (
        ("addons/egress/checks.py", r"    if own and not route\.own_credentials:", "    if False:"),
    ), rows="own-(beside|longer)|token-own-header-passes"),
    Mutation("egress-tokens", "whatever is asked of AWS is signed", (
        ("claude_bottle/policy/routes/aws_sigv4.py", r"if \(match\[1\], match\[2\]\) != \(scope\.region, scope\.service\):", "if False:"),
        ("claude_bottle/policy/routes/aws_sigv4.py", r"return _by_the_owner\(f\"header \{name\[:60\]\}\"\)", 'return ""'),
    ), rows="aws-(other-(region|service)|copy)"),
    Mutation("egress-tokens", "what a store has beside S3 is signed", (
        ("claude_bottle/policy/routes/aws_sigv4.py", r'if method == "POST" and not of_an_object and', "if False and"),
        ("claude_bottle/policy/routes/aws_sigv4.py", r"if not named and \(", "if False and ("),
    ), tests=("tests/unit/test_aws_stores.py",)),
    Mutation("egress-host", "what only looks like punycode is a name", (
        ("claude_bottle/policy/names/hosts.py", r"if label\.startswith\(PREFIX\) and not is_a_label\(label\):", "if False:"),
    ), rows="punycode-fake", tests=("tests/unit/test_a_labels.py", "-k", "only_looks_like")),
    Mutation("egress-http", "heads with control characters pass", (
        ("addons/frame/request_target.py", r"    check_plain\(request\)\n", ""),
    )),
    Mutation("egress-paths", "paths and methods are not looked at", (
        ("claude_bottle/policy/routes/paths.py", r"    if not any\(route\.paths for route in routes\):\n        return \(routes,\)", "    return (routes,)"),
        ("claude_bottle/policy/routes/table.py", r"carrying = \[route for route in matched if method in route\.methods\]", "carrying = list(matched)"),
    )),
    Mutation("egress-paths", "of a path's two readings one is enough", (
        ("claude_bottle/policy/routes/table.py", r"if len\(routes\) < len\(verdicts\) or", "if not routes or"),
    ), tests=("tests/unit/test_egress_core.py", "-k", "two_ways or route_match")),
    Mutation("egress-paths", "an encoded slash is taken for nothing but a slash", (
        ("claude_bottle/policy/routes/targets.py", r"return decoded, unquote\([^\n]*", "return (decoded,)"),
    ), tests=("tests/unit/test_egress_core.py", "-k", "encoded_slash")),
    Mutation("approval", "a yes leaves out what it shadows", (
        ("claude_bottle/approvals/edit/smallest_edit.py", r"kept = \[\] if in_place else .*", "kept = []"),
    ), tests=("tests/unit/test_approval.py", "tests/unit/test_smallest_edit.py", "-k", "takes_nothing_away or yes_writes or always")),
    Mutation("approval", "a yes that takes something away is given all the same", (
        ("claude_bottle/approvals/edit/smallest_edit.py", r"if gone and not owner:", "if False:"),
        ("claude_bottle/approvals/edit/smallest_edit.py", r"kept = \[\] if in_place else .*", "kept = []"),
    ), tests=("tests/unit/test_smallest_edit.py", "-k", "takes_nothing_away")),
    Mutation("approval", "a route lends its capabilities to what is asked for beside it", (
        ("claude_bottle/approvals/edit/smallest_edit.py", r"            if _same\(route, new, \"methods\", \"description\"\):", '            if _same(route, new, "methods", "description", "forge"):'),
    ), tests=("tests/unit/test_smallest_edit.py", "-k", "yes_writes")),
    Mutation("approval", "an edit is not compared with what it is for", (
        ("claude_bottle/approvals/edit/stack_file.py", r"if _load\(after := write\(text, before, meant, edit\)\) == meant:", "if (after := write(text, before, meant, edit)):"),
    ), tests=("tests/unit/test_approval.py", "-k", "own_path")),
    Mutation("approval", "a sweep takes out what holds a place", (
        ("claude_bottle/approvals/edit/stack_file.py", r"not \(path == ROUTES and holds_place\(bottle, index\)\)", "True"),
    ), tests=("tests/unit/test_approval.py", "-k", "in_the_place")),
    Mutation("plan", "what has ended gives its place to what is wider", (
        ("claude_bottle/policy/routes/table.py", r"for route in self\.routes if host_matches\(route\.host, host\)", "for route in self.live_routes() if host_matches(route.host, host)"),
    ), tests=("tests/unit/test_egress_core.py", "-k", "holds_its_place")),
    Mutation("plan", "without a route there is no egress", (
        ("claude_bottle/manifest/model.py", r'return "egress" in self\.model_fields_set', "return bool(self.egress.routes)"),
    ), tests=("tests/unit/test_pipelock_core.py", "-k", "keeps_its_egress")),
    Mutation("plan", "pipelock lets a push through", (
        ("addons/pipelock/core.py", r"if is_git_push_request\(path\):", "if False:"),
    ), tests=("tests/unit/test_pipelock_core.py", "-k", "push_too")),
    Mutation("plan", "a token's name is no part of what is compared", (
        ("claude_bottle/plan/places.py", r'return f"\{route\.auth_scheme\} \{route\.slot\}" if route\.slot else ""', 'return str(route.auth_scheme or "")'),
    ), tests=("tests/unit/test_plan_fuzz.py", "tests/unit/test_plan_table.py", "-k", "its_line or never_hidden")),
    Mutation("plan", "a secret's digest is of its name alone", (
        ("components/secret_digests.py", r' \+ value\.encode\(\)', ""),
    ), tests=("tests/unit/test_plan_table.py", "-k", "another_value")),
    Mutation("plan", "what is printed draws", (
        ("claude_bottle/policy/errors.py", r'return "".join\(c if c\.isprintable\(\) or c == "\\n" else "�" for c in text\)', "return text"),
    ), tests=("tests/unit/test_plan_table.py", "-k", "draws")),
    Mutation("approval", "an approval applies what else waits", (
        ("claude_bottle/approvals/approval.py", r"if change\.grants is None:\n                    self", "if False:\n                    self"),
    ), tests=("tests/unit/test_approval.py", "-k", "nobody_has_spoken")),
    Mutation("owner", "children see the owner's variables", (
        ("claude_bottle/host/child_env.py", r"if key in _KEPT or key\.startswith\(_PREFIX\)", "if key"),
    ), tests=("tests/unit/test_child_env.py",)),
    Mutation("owner", "a token in clear in the manifest passes", (
        ("claude_bottle/manifest/secrets_in_clear.py", r"if own and mask\.found_in", "if False and mask.found_in"),
    ), tests=("tests/unit/test_manifest_secrets.py",)),
    Mutation("owner", "a full disk stops nobody", (
        ("dashboard/disk.py", r"if disk\.full and candidates else None", "if False else None"),
    ), tests=("tests/unit/test_disk.py",)),
    Mutation("owner", "another checkout takes a bottle over", (
        ("claude_bottle/host/checkout.py", r"if not last or last", "if last or last"),
    ), tests=("tests/unit/test_preflight.py", "-k", "second_checkout")),
    Mutation("git-gate", "a lost answer of the upstream is a no", (
        ("sidecar_images/git_gate/forward.py", r"if sent else \[\]", "if False else []"),
    ), tests=("tests/unit/test_push_outcomes.py",)),
    Mutation("git-gate", "a grant is given back though nobody knows", (
        ("sidecar_images/git_gate/receive.py", r"if done\.accepted or done\.unknown else", "if done.accepted else"),
    ), tests=("tests/unit/test_push_outcomes.py",)),
    Mutation("approval", "a page changes a token", (
        ("claude_bottle/approvals/approval.py", r"if self\.where == ON_PAGE and preview\.secrets:", "if False:"),
    ), tests=("tests/unit/test_approval.py", "-k", "never_changes_a_token")),
    Mutation("approval", "try again is said of what stays refused", (
        ("sidecar_images/supervise/answers.py", r"proposal\.note\.startswith\(STILL_REFUSED\)", "False"),
    ), tests=("tests/unit/test_wishes.py", "-k", "only_where_it_helps")),
    Mutation("egress-git", "git push over https passes", (
        ("claude_bottle/policy/routes/table.py", r"        if is_git_push_request\(path\):", "        if False:"),
    )),
    Mutation("egress-tokens", "answers are not masked", (
        ("addons/egress/addon.py", r"bodies\.mask_response\(flow, response, mask\)", "response.stream = True"),
    )),
    Mutation("egress-tokens", "the agent's own credentials stay", (
        ("addons/frame/request_rules.py", r"return not has_token or not is_credential\(name\)", "return True"),
    ), rows="token-o"),
    Mutation("egress-tokens", "a credential in the query passes", (
        ("addons/frame/request_rules.py", r"if has_token and name in CREDENTIAL_PARAMETERS", "if False and name in CREDENTIAL_PARAMETERS"),
    ), rows="token-credential-in-query"),
    Mutation("egress-paths", "a fragment is left out of what is judged", (
        ("claude_bottle/policy/routes/targets.py", r"    if \"#\" in path:\n        return [^\n]*\n", ""),
        ("claude_bottle/policy/routes/targets.py", r"        raw = path\.partition\(\"\?\"\)\[0\]\n|    raw = path\.partition\(\"\?\"\)\[0\]\n", "    raw = path.partition('?')[0].partition('#')[0]\n"),
    ), rows="fragment-"),
    Mutation("egress-paths", "headers and fields that ask for another request pass", (
        ("addons/frame/request_rules.py", r"        if name in OVERRIDE_HEADERS and name not in passed:", "        if False:"),
        ("addons/frame/request_rules.py", r"        if name in METHOD_PARAMETERS and name not in passed:", "        if False:"),
        ("addons/egress/checks.py", r"return other_method\(\) if in_form and [^\n]*", "return None"),
    ), rows="override-"),
    Mutation("egress-git", "a forge's API writes code", (
        ("claude_bottle/policy/routes/table.py", r"if missing := needed\.difference\([^\n]*\):", "if missing := frozenset():"),
        ("claude_bottle/policy/routes/table.py", r"if carrying and needed:", "if False:"),
        ("addons/egress/checks.py", r"    if missing:", "    if False:"),
    ), rows="forge-|gitlab-"),
    Mutation("egress-git", "GraphQL names any repository", (
        ("addons/egress/repositories.py", r"        if route\.repositories is None:", "        if True:"),
    ), rows="graphql-"),
    Mutation("egress-http", "mitmproxy frames what it sends", (
        ("sidecar_images/proxy/proxy.py", r"    http_layers\.install\(role\)\n", ""),
    ), tests=("tests/containment/test_framing.py",)),
    Mutation("egress-http", "control frames of WebSockets carry on", (
        ("addons/http/layers.py", r'        \(websocket, "WebsocketConnection", websocket_frames\.Connection\),\n', ""),
    ), tests=("tests/containment/test_framing.py", "-k", "websocket or control or ping")),
    Mutation("egress-http", "what WebSockets pack is unpacked without a bound", (
        ("addons/http/layers.py", r'        \([^\n]*"PerMessageDeflate"[^\n]*\n', ""),
    ), tests=("tests/containment/test_layers.py",)),
    Mutation("egress-tokens", "what is held back of an answer depends on what was found", (
        ("claude_bottle/dlp/tokens/reflection.py", r"held = 0 if last else min\(", "held = 0 if last or not masked.endswith(b'*') else min("),
    ), tests=("tests/unit/test_reflection.py", "-k", "right_beginning")),
    Mutation("record", "writes leave without a record", (
        ("addons/egress/record.py", r"if decision\.number or not is_write\(flow\.request\):", "if True:"),
    ), tests=("tests/unit/test_egress.py", "-k", "record")),
    Mutation("record", "a full record drops its oldest lines", (
        ("claude_bottle/policy/record.py", r'raise RecordFullError\("the record is full"\)', "self._files()[0].unlink()"),
    ), tests=("tests/unit/test_record.py", "-k", "full_record")),
    Mutation("record", "where the audit log ends is remembered beside it alone", (
        ("claude_bottle/approvals/audit/log.py", r"later\.append\(record\)", "pass"),
    ), tests=("tests/unit/test_record.py", "-k", "kill_between")),
    Mutation("token-time", "whole tokens are looked for as they are", (
        ("claude_bottle/dlp/tokens/blocks.py", r'self\._encrypt\(b""\.join\(texts\)\)', 'b"".join(texts)'),
        ("claude_bottle/dlp/tokens/blocks.py", r"self\._encrypt\(blocks\)", "blocks"),
    ), tests=("tests/unit/test_reflection.py", "-k", "each_process")),
    Mutation("egress-tokens", "requests pass before the tokens are known", (
        ("addons/frame/proxy.py", r"if not self\.is_ready\(\):", "if False:"),
        ("addons/egress/addon.py", r"self\._masks: TokenMasks \| None = None", "self._masks: TokenMasks | None = TokenMasks({})"),
    ), tests=("tests/unit/test_starting.py",)),
    Mutation("supervise", "calls wait without a limit", (
        ("sidecar_images/supervise/waiting.py", r"if self\.open >= CALLS:", "if False:"),
    ), tests=("tests/unit/test_waiting.py",)),
    Mutation("git-gate", "what a refused push brought is known", (
        ("sidecar_images/git_gate/scanning/known.py", r'"rev-list", "--objects", "--no-object-names", \*UPSTREAMS',
         '"cat-file", "--batch-all-objects", "--batch-check=%(objectname)"'),
    ), tests=("tests/unit/test_git_gate_news.py",)),
    Mutation("git-gate", "what this push brought is known", (
        ("sidecar_images/git_gate/scanning/known.py", r" or one\.base\.commit:", ":"),
    ), tests=("tests/unit/test_git_gate_news.py",)),
    Mutation("git-gate", "a credential of the bottle may be known", (
        ("sidecar_images/git_gate/scanning/scan.py", r"always = \{.*\}", "always: set[tuple[str, str, bytes]] = set()"),
    ), tests=("tests/unit/test_git_gate_news.py",)),
    Mutation("git-gate", "a short value is known by itself", (
        ("sidecar_images/git_gate/scanning/known.py", r"secret if len\(secret\) >= _LONG else match", "secret"),
    ), tests=("tests/unit/test_git_gate_news.py",)),
    Mutation("git-gate", "nothing around what is new is looked at", (
        ("sidecar_images/git_gate/scanning/added.py", r"NEAR, LINES, FAR = 1_000, 6, OVERLAP", "NEAR, LINES, FAR = 1, 0, 1"),
    ), tests=("tests/unit/test_git_gate_news.py",)),
    Mutation("git-gate", "nothing is served where the disk is full", (
        ("sidecar_images/git_gate/mirror_state.py", r"    except OSError:\n", "    except ZeroDivisionError:\n"),
    ), tests=("tests/unit/test_git_gate_full.py",)),
    Mutation("pipelock-dlp", "a policy's rules are made where requests wait for it", (
        ("addons/frame/policy_watcher.py", r"await self\._beside\(partial\(self\._file\.parsed, offer\)\)", "self._file.parsed(offer)"),
    ), tests=("tests/unit/test_starting.py",)),
    Mutation("egress-tokens", "an upload holds back what may begin a token", (
        ("addons/egress/bodies.py", r"        return \[chunk\] if chunk else \[\]\n", "        return [chunk] if chunk and mask.mask(chunk) is chunk else []\n"),
    ), tests=("tests/containment/test_traces.py",)),
    Mutation("egress-tokens", "what is open goes on when its route is gone", (
        ("addons/frame/proxy.py", r"        self\._open\.end_refused\(\n", "        (lambda *_: None)(\n"),
    ), tests=("tests/integration/test_bottle.py", "-k", "open_ends")),
    Mutation("pipelock-dlp", "what one host has said passes to all", (
        ("claude_bottle/dlp/said.py", r'origin\.encode\(\) \+ b"\\0" \+ value', "value"),
        ("claude_bottle/dlp/said.py", r"kept, digest = self\._values\.get\(origin\), ", "kept, digest = next(iter(self._values.values()), None), "),
    ), rows="said-", tests=("tests/unit/test_dlp_said.py",)),
    Mutation("pipelock-dlp", "an address is followed that the agent has a part in", (
        ("addons/pipelock/said.py", r"target\.host\.encode\(\) not in sent and not any\(piece in sent for piece in pieces\)", "True"),
    ), rows="said-redirect-by-name", tests=("tests/unit/test_dlp_said.py",)),
    Mutation("pipelock-dlp", "what is said back to a host goes on to another by its redirect", (
        ("claude_bottle/dlp/said.py", r'or self\._digest\("", value\) in self\._sent\n', "\n"),
        ("claude_bottle/dlp/said.py", r"or self\.has_said\(origin, value\)\n", "\n"),
    ), rows="said-redirect-of-its-own", tests=("tests/unit/test_dlp_said.py",)),
    Mutation("pipelock-dlp", "a header is not read because its name is one that egress fills in", (
        ("addons/pipelock/addon.py", r"policy\.unscanned_headers\(request\.host\) & \{marked\}", "policy.unscanned_headers(request.host) | {marked}"),
    ), rows="dlp-injected"),
    Mutation("pipelock-dlp", "a secret in a path is logged", (
        ("claude_bottle/dlp/path_privacy.py", r"return _dlp\(\)\.look_at_url\(host, path\) is not None", "return False"),
    ), tests=("tests/unit/test_egress.py", "-k", "in_no_log")),
    Mutation("pipelock-addresses", "inner addresses may be dialled", (
        ("addons/pipelock/core.py", r"if all\(guard\.allows\(address\) for address in addresses\):", "if True:"),
    )),
    Mutation("pipelock-dlp", "nothing is looked at", (
        ("claude_bottle/dlp/engine.py", r"match = self\._rules\.first\(data, generic=named, without=self\._without, known=known\)", "match = None"),
        ("addons/pipelock/bodies.py", r"return core\.refuse\(error\.reason, f\"The body", "return None if True else core.refuse(error.reason, f\"The body"),
    )),
    Mutation("drift", "what is changed by hand in a sidecar stays", (
        ("claude_bottle/engines/docker/live/drift.py", r"    if policy:\n        again = _fresh\(policy, now\)\n", ""),
        ("claude_bottle/engines/docker/live/drift.py", r"    if files:\n        mended = _fresh\(files, now\)\n", ""),
    ), tests=("tests/integration/test_drift.py",)),
    Mutation("drift", "up does not wait for a part that it has started", (
        ("claude_bottle/engines/docker/live/drift.py", r'return Drift\(\(words,\), "", _fresh\(\[words\], now\), put\.mended\)', 'return Drift((words,), "", put.again, put.mended)'),
    ), tests=("tests/integration/test_drift.py", "-k", "does_not_run")),
    Mutation("owner", "a name's control characters reach the owner's terminal", (
        ("claude_bottle/policy/errors.py", r'c if c\.isprintable\(\) or c == "\\n" else "�"', "c"),
    ), tests=("tests/containment/test_owner.py", "-m", "not slow", "-k", "draw_nothing")),
    Mutation("owner", "what is laid out as a repository comes back", (
        ("claude_bottle/workspace/incoming.py", r"laid_out = frozenset\(repositories\(every, exists\)\)", "laid_out = frozenset[str]()"),
    ), tests=("tests/containment/test_owner.py", "-m", "not slow", "-k", "promises or test_attack[")),
    Mutation("owner", "an agent's words begin lines like the tool's own", (
        ("claude_bottle/cli/proposal_text.py", r"_QUOTE \+ row", "row"),
        ("claude_bottle/policy/errors.py", r'printable\(text\)\.replace\("\\n", "�"\)', "printable(text)"),
    ), tests=("tests/containment/test_owner.py", "-m", "not slow", "-k", "draw_nothing or imitate")),
    Mutation("owner", "headers, maps and targets of an archive have no bound", (
        ("claude_bottle/workspace/hostile_tar.py", r"if self\.left < 0:", "if False:"),
        ("claude_bottle/workspace/hostile_tar.py", r"if member\.type == tarfile\.XGLTYPE:", "if False:"),
        ("claude_bottle/workspace/hostile_tar.py", r"if links > _LINKS:", "if False:"),
        ("claude_bottle/workspace/agent_files.py", r'if listing\.count\(b"\\0"\) > _NAMES:', "if False:"),
    ), tests=("tests/containment/test_owner.py", "-m", "not slow", "-k", "tar_of or tar-of or many-names")),
    Mutation("load", "window is given at once, whoever takes what comes", (
        ("addons/http/layers.py", r'        \(layers, "Http2Server", .*\n        \(layers, "Http2Client", .*\n        \(_http2, "BufferedH2Connection", .*\n', ""),
    ), tests=("tests/integration/test_slow_sides.py", "-k", "download or upload")),
    Mutation("load", "HTTP/1 is read on though nothing of it was taken", (
        ("addons/http/flow_windows.py", r"return waiting <= _AHEAD and not is_full\(.*\)", "return True"),
    ), tests=("tests/integration/test_slow_sides.py", "-k", "download or upload")),
    Mutation("load", "no budget over all bodies that are held", (
        ("claude_bottle/policy/held_budget.py", r"return self\.used \+ size <= self\.total", "return True"),
    ), tests=("tests/integration/test_slow_sides.py", "-k", "many_large")),
    Mutation("hardening", "capabilities and new privileges", (
        ("claude_bottle/engines/docker/resources/container.py", r'capabilities=docker\.ContainerCapabilitiesArgs\(drops=\["ALL"\]\)', 'capabilities=docker.ContainerCapabilitiesArgs(adds=["CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_MKNOD"])'),
        ("claude_bottle/engines/docker/resources/container.py", r'security_opts=\["no-new-privileges:true"\]', 'security_opts=["seccomp=unconfined"]'),
    )),
    Mutation("on-match", "a masked body leaves without a second look", (
        ("claude_bottle/dlp/redact.py", r"not findings or dlp\.look_at_body\(data, content_type, \"\"\):", "not findings:"),
        ("addons/pipelock/bodies.py", r"if await _inspect\(dlp, recent, masked\.body, kind, \"\", decision\) is not None:", "if False:"),
    ), tests=("tests/unit/test_dlp_redact.py", "tests/unit/test_on_match.py")),
    Mutation("on-match", "a body that its sender has signed is masked", (
        ("addons/pipelock/bodies.py", r"if is_bound\(", "if not is_bound("),
    ), tests=("tests/unit/test_on_match.py",)),
    Mutation("on-match", "a request that waits goes without an answer", (
        ("addons/pipelock/once.py", r"                if self\._once\.take\(digest\):", "                if True:"),
    ), tests=("tests/unit/test_on_match.py",)),
    Mutation("on-match", "the laxest word for a host counts", (
        ("addons/pipelock/core.py", r"return min\(reactions, key=REACTIONS\.index", "return max(reactions, key=REACTIONS.index"),
    ), tests=("tests/unit/test_on_match.py",)),
    Mutation("inbound", "what an answer says of itself is believed", (
        ("addons/pipelock/inbound.py", r"response\.headers\.pop\(HEADER, None\)", "None"),
    ), tests=("tests/unit/test_inbound.py",)),
    Mutation("power-loss", "git's objects and SQLite's journal are not synced", (
        ("sidecar_images/git_gate/gitconfig", r"\tfsync = committed,reference", "\t; nothing"),
        ("claude_bottle/policy/proposals.py", r"synchronous = extra", "synchronous = full"),
    ), tests=("tests/integration/test_power_loss.py",)),
)  # fmt: skip
