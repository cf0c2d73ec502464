"""JSON schemas of bodies and answers, for the OpenAPI description."""

from __future__ import annotations

from .route import ANYTHING, NUMBER, OBJECT, TEXT, TRUTH, WHOLE, Schema, array, record

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
            "type": "string",
            "pattern": "^[!-~]{1,200}$",
            "description": "the job's id; the same once more is the same job",
        },
        "client_id": {"type": "string", "description": "who gets the events"},
        "number": {**PLACE, "description": "place in the queue; lower ones run first"},
        "front": {"type": "boolean", "description": "run it next"},
        "extra_data": {"type": "object"},
        "partial_execution_targets": array(TEXT),
        "deadline": {
            "type": "number",
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
CLEAR_OR_DELETE = record({}, clear=TRUTH, delete=array(TEXT))
INTERRUPT = record({}, prompt_id=TEXT)
FREE = record({}, unload_models=TRUTH, free_memory=TRUTH)
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
    "properties": {"number": PLACE, "front": {"const": True}},
    "anyOf": [{"required": ["number"]}, {"required": ["front"]}],
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
HEALTH = record({"status": {"enum": ["ok", "loading"]}})
FEATURES = record({"supports_preview_metadata": TRUTH, "max_upload_size": WHOLE})
ANY = ANYTHING
