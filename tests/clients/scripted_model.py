"""A model server for real clients that says what a script tells it to, on loopback.

Owns five dialects over HTTP, each streaming or not: OpenAI's chat completions and responses, Anthropic's messages,
Gemini's contents, and lists of models. Stateless: which step comes next is told by the request alone, by how many turns
with tools lie behind its last genuine prompt.

A script maps a part of a prompt to its steps; the first that occurs counts. A step is one of
`{"text": ...}`, `{"shell": COMMAND}`, `{"write": [PATH, CONTENT]}`, `{"subagent": PROMPT}`: each is translated to the
tool that the client offers for it.
"""

from __future__ import annotations

import json
import re
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["serve"]

Json = dict[str, Any]
Step = dict[str, Any]
Call = tuple[str, Json]

SHELLS = ("bash", "Bash", "shell", "exec_command", "shell_command", "local_shell", "run_shell_command")
WRITERS = {
    "write": ("filePath", "content"),
    "Write": ("file_path", "content"),
    "write_file": ("file_path", "content"),
    "create": ("path", "file_text"),
}
SUBAGENTS = {"task": "general", "Agent": "general-purpose", "agent": "general-purpose", "spawn_agent": "default"}
SUBAGENTS |= {"invoke_agent": "generalist"}
"""The tools that begin a subagent, and the kind of it where their schema names none."""

BLANKS: dict[str, object] = {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}
USAGE = {"input_tokens": 100, "output_tokens": 10}


class Asked(NamedTuple):
    """What a request says: the tools that are offered with their schemas, the steps taken, the last prompt."""

    tools: dict[str, Json]
    steps_taken: int
    prompt: str


def serve(script: dict[str, list[Step]], aside: str, log: Path) -> tuple[ThreadingHTTPServer, str]:
    """Return a server that is ready to be run, and its address.

    Args:
        script: Steps by a part of the prompt; the empty one fits every prompt.
        aside: What is said where no tool is offered: titles, summaries.
        log: What was asked and answered, a line of JSON each.
    """

    class Scripted(_Handler):
        pass

    Scripted.script, Scripted.aside, Scripted.log = script, aside, log
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.daemon_threads = True
    return server, f"http://127.0.0.1:{server.server_address[1]}"


# -- a step as the client's own tools have it


def _calls(step: Step, tools: dict[str, Json]) -> list[Call]:
    if "shell" in step:
        name = next(name for name in SHELLS if name in tools)
        return [(name, _arguments(tools[name], {"command": step["shell"], "cmd": step["shell"]}))]
    if "write" in step:
        path, content = step["write"]
        for name, (path_key, content_key) in WRITERS.items():
            if name in tools:
                return [(name, _arguments(tools[name], {path_key: path, content_key: content}))]
        return _calls({"shell": f"printf %s '{content}' > '{path}'"}, tools)
    if "subagent" in step:
        name = next((name for name in SUBAGENTS if name in tools), "")
        if not name:
            return []
        kind = "general-purpose" if "general-purpose" in json.dumps(tools[name]) else SUBAGENTS[name]
        told = {
            "prompt": step["subagent"],
            "message": step["subagent"],
            "subagent_type": kind,
            "agent_type": kind,
            "agent_name": kind,
        }
        return [(name, _arguments(tools[name], told | {"run_in_background": False, "mode": "sync"}))]
    return []


def _properties(schema: Json) -> dict[str, Json]:
    return (schema or {}).get("properties") or {}


def _arguments(schema: Json, known: Json) -> Json:
    """Return what is known of the tool's arguments, and something for those that it must have besides."""
    properties = _properties(schema)
    given = {name: value for name, value in known.items() if name in properties}
    given = {
        name: ["bash", "-lc", value] if properties[name].get("type") == "array" else value
        for name, value in given.items()
    }
    for name in (schema or {}).get("required") or []:
        given.setdefault(name, BLANKS.get(properties.get(name, {}).get("type", ""), "scripted step"))
    if "description" in properties:
        given["description"] = "scripted step"
    return given


def _flat(content: Any) -> str:  # noqa: ANN401 -- JSON
    if isinstance(content, list):
        return "\n".join(map(_flat, content))
    return _flat(content.get("text") or "") if isinstance(content, dict) else content or ""


# -- the dialects: reading a request, writing an answer


def _read_chat(body: Json) -> Asked:
    offered = [tool["function"] for tool in body.get("tools") or [] if tool.get("function")]
    steps, prompt = 0, ""
    for message in body.get("messages", []):
        if message.get("role") == "user":
            steps, prompt = 0, _flat(message.get("content"))
        steps += bool(message.get("role") == "assistant" and message.get("tool_calls"))
    return Asked({tool["name"]: tool.get("parameters") for tool in offered}, steps, prompt)


def _write_chat(out: _Handler, body: Json, text: str, calls: list[Call]) -> None:
    whole = {"id": _id("chatcmpl"), "created": 1, "model": body.get("model", "scripted")}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    tools = [
        {"index": at, "id": _id("call"), "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for at, (name, given) in enumerate(calls)
    ]
    finish = "tool_calls" if tools else "stop"
    if not body.get("stream"):
        message = {"role": "assistant", "content": text or None} | ({"tool_calls": tools} if tools else {})
        choice = {"index": 0, "message": message, "finish_reason": finish}
        out.send_object({**whole, "object": "chat.completion", "usage": usage, "choices": [choice]})
        return
    deltas: list[Json] = [{"role": "assistant", "content": text or ""}, *({"tool_calls": [tool]} for tool in tools), {}]
    chunks: list[Json] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else finish}]} for delta in deltas
    ]
    out.stream(
        {**whole, "object": "chat.completion.chunk", **chunk} for chunk in (*chunks, {"choices": [], "usage": usage})
    )
    out.wfile.write(b"data: [DONE]\n\n")


def _read_responses(body: Json) -> Asked:
    tools: dict[str, Json] = {}
    for tool in body.get("tools") or []:
        inner = tool.get("tools") or [] if tool.get("type") == "namespace" else [tool]
        for each in inner:
            tools[each.get("name") or each.get("type")] = each.get("parameters")
            if tool.get("type") == "namespace":
                body.setdefault("_spaces", {})[each.get("name")] = tool["name"]
    steps, prompt, is_pending = 0, "", False
    for item in body.get("input") or []:
        kind = item.get("type") or "message"
        if kind == "message" and item.get("role") == "user":
            steps, prompt = 0, _flat(item.get("content"))
        elif kind in {"function_call", "local_shell_call", "custom_tool_call"}:
            steps, is_pending = steps + (not is_pending), True
        elif kind.endswith("_output"):
            is_pending = False
    return Asked(tools, steps, prompt)


def _write_responses(out: _Handler, body: Json, text: str, calls: list[Call]) -> None:
    items: list[Json] = []
    if text or not calls:
        part = {"type": "output_text", "text": text or "ok", "annotations": []}
        items.append(
            {"type": "message", "id": _id("msg"), "role": "assistant", "status": "completed", "content": [part]}
        )
    for name, given in calls:
        space = {"namespace": body["_spaces"][name]} if name in body.get("_spaces", {}) else {}
        call = {"type": "function_call", "id": _id("fc"), "call_id": _id("call"), "status": "completed"}
        items.append({**call, **space, "name": name, "arguments": json.dumps(given)})
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    whole = {"id": _id("resp"), "object": "response", "created_at": 1, "model": body.get("model", "scripted")}
    whole |= {"status": "completed", "output": items, "usage": {**USAGE, **details, "total_tokens": 110}}
    if not body.get("stream"):
        out.send_object(whole)
        return
    events: list[Json] = [{"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}]
    for at, item in enumerate(items):
        events += [
            {"type": f"response.output_item.{what}", "output_index": at, "item": item} for what in ("added", "done")
        ]
    events.append({"type": "response.completed", "response": whole})
    out.stream(({**event, "sequence_number": at} for at, event in enumerate(events)), is_named=True)


def _read_messages(body: Json) -> Asked:
    tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or [] if "name" in tool}
    steps, prompt = 0, ""
    for message in body.get("messages", []):
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        if message.get("role") == "assistant":
            steps += any(part.get("type") == "tool_use" for part in parts)
        elif not any(part.get("type") == "tool_result" for part in parts):
            steps, prompt = 0, _flat(parts)
    return Asked(tools, steps, prompt)


def _write_messages(out: _Handler, body: Json, text: str, calls: list[Call]) -> None:
    blocks: list[Json] = [{"type": "text", "text": text or "ok"}] if text or not calls else []
    blocks += [{"type": "tool_use", "id": _id("toolu"), "name": name, "input": given} for name, given in calls]
    stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    message = {"id": _id("msg"), "type": "message", "role": "assistant", "model": body.get("model", "scripted")}
    if not body.get("stream"):
        out.send_object({**message, "content": blocks, **stop, "usage": USAGE})
        return
    nothing = {"stop_reason": None, "stop_sequence": None}
    events: list[Json] = [{"type": "message_start", "message": {**message, "content": [], **nothing, "usage": USAGE}}]
    for at, block in enumerate(blocks):
        is_text = block["type"] == "text"
        delta = {"type": "text_delta", "text": block["text"]} if is_text else None
        delta = delta or {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        empty = {**block, "text": ""} if is_text else {**block, "input": {}}
        events.append({"type": "content_block_start", "index": at, "content_block": empty})
        events.append({"type": "content_block_delta", "index": at, "delta": delta})
        events.append({"type": "content_block_stop", "index": at})
    events += [{"type": "message_delta", "delta": stop, "usage": {"output_tokens": 10}}, {"type": "message_stop"}]
    out.stream(events, is_named=True)


def _read_contents(body: Json) -> Asked:
    tools: dict[str, Json] = {}
    for tool in body.get("tools") or []:
        for each in tool.get("functionDeclarations") or tool.get("function_declarations") or []:
            tools[each["name"]] = each.get("parametersJsonSchema") or each.get("parameters")
    steps, prompt = 0, ""
    for message in body.get("contents", []):
        parts = message.get("parts") or []
        if message.get("role") == "model":
            steps += any("functionCall" in part for part in parts)
        elif not any("functionResponse" in part for part in parts):
            steps, prompt = 0, _flat(parts)
    return Asked(tools, steps, prompt)


def _write_contents(out: _Handler, body: Json, text: str, calls: list[Call]) -> None:
    parts: list[Json] = [{"text": text or "ok"}] if text or not calls else []
    parts += [{"functionCall": {"name": name, "args": given}} for name, given in calls]
    answer = {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110},
        "modelVersion": body["_model"],
    }
    if body["_is_stream"]:
        out.stream([answer])
    else:
        out.send_object(answer)


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:12]}"


DIALECTS: dict[str, tuple[Callable[[Json], Asked], Callable[[_Handler, Json, str, list[Call]], None]]] = {
    "/chat/completions": (_read_chat, _write_chat),
    "/responses": (_read_responses, _write_responses),
    "/messages": (_read_messages, _write_messages),
    "enerateContent": (_read_contents, _write_contents),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: dict[str, list[Step]]
    aside: str
    log: Path

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""

    def do_HEAD(self) -> None:
        """Answer a client that asks whether anybody is there."""
        self.send_object({})

    def do_GET(self) -> None:
        """List the models."""
        models = [{"id": "scripted", "object": "model", "owned_by": "nobody"}]
        self.send_object({"object": "list", "data": models}, 200 if "/models" in self.path else 404)

    def do_POST(self) -> None:
        """Say what comes next."""
        body = json.loads(self._body() or b"{}")
        path = self.path.partition("?")[0]
        if path.endswith(("/count_tokens", ":countTokens")):
            self.send_object({"input_tokens": 100, "totalTokens": 100})
            return
        named = re.search(r"/models/([^/:]+):(stream)?[gG]enerateContent$", path)
        if named:
            body |= {"_model": named[1], "_is_stream": bool(named[2])}
        dialect = next((found for end, found in DIALECTS.items() if path.endswith(end)), None)
        if dialect is None:
            self.send_object({"error": {"message": "not here"}}, 404)
            return
        read, write = dialect
        asked = read(body)
        step = self._step(asked) if asked.tools else {"text": self.aside}
        text, calls = step.get("text", ""), _calls(step, asked.tools)
        with self.log.open("a") as file:
            file.write(
                json.dumps({"path": path, "prompt": asked.prompt[-200:], "tools": sorted(asked.tools), "calls": calls})
            )
            file.write("\n")
        write(self, body, text, calls)

    def _step(self, asked: Asked) -> Step:
        steps = next((steps for part, steps in self.script.items() if part in asked.prompt), [])
        return steps[asked.steps_taken] if asked.steps_taken < len(steps) else {"text": "All done."}

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def send_object(self, answer: Json, code: int = 200) -> None:
        """Answer in one piece."""
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def stream(self, events: Iterable[Json], *, is_named: bool = False) -> None:
        """Answer piece by piece, as server-sent events."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in events:
            name = f"event: {event['type']}\n" if is_named else ""
            self.wfile.write(f"{name}data: {json.dumps(event)}\n\n".encode())
