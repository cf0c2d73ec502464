"""ComfyUI's names for core nodes, so that its graphs and clients run unchanged.

An alias has the ports of the node it stands for, in the same order, and shares its results. Its
title in the editor is ComfyUI's, because clients look nodes up by it.
"""

from nodegraph.registry import Alias

NAMES = Alias(
    {
        "CheckpointLoaderSimple": ("LoadCheckpoint", "Load Checkpoint"),
        "CLIPTextEncode": ("CLIPEncode", "CLIP Text Encode (Prompt)"),
        "LoraLoader": ("LoadLora", "Load LoRA"),
        "LoraLoaderModelOnly": ("LoadLoraModelOnly", "LoraLoaderModelOnly"),
        "VAELoader": ("LoadVAE", "Load VAE"),
    }
)
