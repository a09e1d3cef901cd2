"""LM Studio's own API: what is downloaded, what is loaded with which context, loading and unloading."""

from evaluator.replies import Offered, as_count, as_dict, as_dicts, as_text, known
from lib.errors import CannotRun
from lib.transport import Fault, Http

LOAD_SECONDS = 600.0


def offered(http: Http) -> list[Offered]:
    """Every language model, the loaded ones first; [] from a version too old to say (before 0.3.6)."""
    for path, read in (("/api/v1/models", _from_v1), ("/api/v0/models", _from_v0)):
        try:
            found = read(http.get(path, timeout=10))
        except Fault as fault:
            if fault.code in ("unauthorized", "timeout"):
                raise
            continue
        if found:
            return sorted(found, key=lambda model: not model.loaded)
    return []


def _from_v1(body: dict) -> list[Offered]:
    """/api/v1/models, from 0.4.0 on."""
    found = []
    for entry in as_dicts(body.get("models")):
        if not as_text(entry.get("key")) or entry.get("type") == "embedding":
            continue
        instances = as_dicts(entry.get("loaded_instances"))
        config = as_dict(instances[0].get("config")) if instances else {}
        found.append(
            Offered(
                name=entry["key"],
                loaded=bool(instances),
                context=as_count(config.get("context_length")),
                tools=as_dict(entry.get("capabilities")).get("trained_for_tool_use"),
                quantization=as_dict(entry.get("quantization")).get("name"),
                facts=known(
                    arch=entry.get("architecture"),
                    format=entry.get("format"),
                    max_context=entry.get("max_context_length"),
                    size=entry.get("size_bytes"),
                    parallel=as_count(config.get("parallel")),
                ),
                instances=tuple(as_text(instance.get("id")) for instance in instances if instance.get("id")),
            )
        )
    return found


def _from_v0(body: dict) -> list[Offered]:
    """/api/v0/models, from 0.3.6 on."""
    found = []
    for entry in as_dicts(body.get("data")):
        if not as_text(entry.get("id")) or entry.get("type") == "embeddings":
            continue
        able = entry.get("capabilities")
        found.append(
            Offered(
                name=entry["id"],
                loaded=entry.get("state") == "loaded",
                context=as_count(entry.get("loaded_context_length")),
                tools="tool_use" in able if isinstance(able, list) else None,
                quantization=entry.get("quantization"),
                facts=known(arch=entry.get("arch"), max_context=entry.get("max_context_length")),
            )
        )
    return found


def load(http: Http, model: str, context: int) -> tuple[str, int | None]:
    """(name of the new instance, its context) of a model that is now loaded; CannotRun when it is not."""
    wanted = {"model": model, "echo_load_config": True} | ({"context_length": context} if context else {})
    try:
        body = http.post("/api/v1/models/load", wanted, timeout=LOAD_SECONDS)
    except Fault as fault:
        by_hand = f"lms load {model}" + (f" --context-length {context}" if context else "")
        raise CannotRun(f"LM Studio does not load {model}: {fault.message}. Load it there: {by_hand}.") from None
    config = as_dict(body.get("load_config") or body.get("config"))
    name = as_text(body.get("instance_id") or body.get("model_instance_id"))
    return name or model, as_count(config.get("context_length")) or context or None


def unload(http: Http, instance: str) -> None:
    """Frees the memory again; a server that has gone meanwhile has done so itself."""
    try:
        http.post("/api/v1/models/unload", {"instance_id": instance}, timeout=60)
    except Fault:
        return
