"""Pictures as tensors: files, metadata, resizing and tiling, with no knowledge of nodes or graphs.

    files       decode: file -> image and mask;  encode: image -> bytes of a PNG, JPEG or WebP
    metadata    the texts (prompt, workflow, manifest) that a picture carries
    resize      to another width and height, by seven methods
    tiling      a function of a picture too large to take at once, tile by tile
    masks       combined, feathered, grown;  matching: batches, channels;  outpainting: the canvas
    blending    blend modes, and Porter and Duff's composition
    filters     blur, sharpening, morphology, edges;  palette: few colours, dithered

Notation. An image is float32 (B, H, W, C) in [0, 1], red, green, blue and perhaps alpha, not
premultiplied; a mask float32 (B, H, W), 1 where the picture is transparent; samples (B, C, H, W)
are what networks take. Widths and heights are in pixels (or latent cells). Everything about a
file that cannot be read or written is a `PictureError`; a wrong argument is a `ValueError`.
"""
