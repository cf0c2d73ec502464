"""The version of nodegraph, as recorded in manifests and files."""

VERSION = "0.1.0"
