"""JSON schemas of bodies and answers, for the OpenAPI description."""

from __future__ import annotations

from .route import ANYTHING, NUMBER, OBJECT, TEXT, TRUTH, WHOLE, Schema, array, record


def maybe(schema: Schema) -> Schema:
    """The same, or null, which counts as missing."""
    return {**schema, "type": [schema["type"], "null"]}


NULL: Schema = {"type": "null"}
TIME: Schema = {"type": ["integer", "null"], "description": "milliseconds since the epoch"}
OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
PLACE: Schema = {"type": "number", "minimum": -(2**53), "maximum": 2**53}

ERROR = record(
    {
        "error": record({"type": TEXT, "message": TEXT, "details": TEXT, "extra_info": OBJECT}),
        "node_errors": OBJECT,
    }
)
QUEUE_INFO = record({"exec_info": record({"queue_remaining": WHOLE})})
SUBMISSION: Schema = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "object", "description": "a graph, in API or editor format"},
        "prompt_id": {
            "type": ["string", "null"],
            "pattern": "^[!-~]{1,200}$",
            "description": "the job's id; the same once more is the same job",
        },
        "client_id": {"type": ["string", "null"], "description": "who gets the events"},
        "number": {**maybe(PLACE), "description": "place in the queue; lower ones run first"},
        "front": {"type": ["boolean", "null"], "description": "run it next"},
        "extra_data": maybe(OBJECT),
        "partial_execution_targets": maybe(array(TEXT)),
        "deadline": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "maximum": 366 * 86400,
            "description": "seconds from now in which it must have ended",
        },
    },
}
SUBMITTED = record(
    {"prompt_id": TEXT, "number": NUMBER, "node_errors": OBJECT}, warnings=array(OBJECT)
)
VALIDATED = record(
    {"valid": TRUTH, "error": {"type": ["object", "null"]}, "node_errors": OBJECT},
    warnings=array(OBJECT),
)
ITEM: Schema = {"type": "array", "items": {}, "minItems": 5, "maxItems": 5}
QUEUE = record({"queue_running": array(ITEM), "queue_pending": array(ITEM)})
QUEUE_STATE = record({"paused": TRUTH, "running": WHOLE, "pending": WHOLE})
CLEAR_OR_DELETE = record({}, clear=maybe(TRUTH), delete=maybe(array(TEXT)))
INTERRUPT = record({}, prompt_id=maybe(TEXT))
FREE = record({}, unload_models=maybe(TRUTH), free_memory=maybe(TRUTH))
SOME_JOBS = record({}, job_ids=maybe(array(TEXT)))
# In a query an empty text counts as missing.
EMPTY: Schema = {"type": "string", "maxLength": 0}
FROM_ZERO: Schema = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, EMPTY]}
FROM_ONE: Schema = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**53 - 1}, EMPTY]}
SUMMARY = record(
    {
        "id": TEXT,
        "status": {"enum": ["pending", "in_progress", "completed", "failed", "cancelled"]},
        "priority": NUMBER,
        "create_time": TIME,
        "execution_start_time": TIME,
        "execution_end_time": TIME,
        "execution_error": {"type": ["object", "null"]},
        "outputs_count": WHOLE,
        "previewable_outputs_count": WHOLE,
        "preview_output": {"type": ["object", "null"]},
        "workflow_id": OPTIONAL_TEXT,
    }
)
JOB = SUMMARY
PAGE = record(
    {
        "offset": WHOLE,
        "limit": {"type": ["integer", "null"]},
        "total": WHOLE,
        "has_more": TRUTH,
    }
)
JOBS = record({"jobs": array(SUMMARY), "pagination": PAGE})
MOVE: Schema = {
    "type": "object",
    "properties": {"number": maybe(PLACE), "front": maybe(TRUTH)},
    "anyOf": [
        {"required": ["number"], "properties": {"number": PLACE}},
        {"required": ["front"], "properties": {"front": {"const": True}}},
    ],
}
MOVED = record({"prompt_id": TEXT, "number": NUMBER})
DEVICE = record(
    {
        "name": TEXT,
        "type": TEXT,
        "index": {"type": ["integer", "null"]},
        "vram_total": WHOLE,
        "vram_free": WHOLE,
        "torch_vram_total": WHOLE,
        "torch_vram_free": WHOLE,
    }
)
SYSTEM = record({"system": OBJECT, "devices": array(DEVICE)})
PLUGIN = record(
    {
        "name": TEXT,
        "version": TEXT,
        "description": TEXT,
        "state": {"enum": ["loaded", "disabled", "refused", "broken", "needs permission"]},
        "nodes": array(TEXT),
        "touches": array(TEXT),
        "web": array(TEXT),
        "reason": TEXT,
        "warnings": array(TEXT),
    }
)
HEALTH = record({"status": {"enum": ["ok", "loading"]}})
FEATURES = record({"supports_preview_metadata": TRUTH, "max_upload_size": WHOLE})
ANY = ANYTHING
