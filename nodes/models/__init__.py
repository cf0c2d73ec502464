"""Architectures of latent diffusion in plain torch, named as in the original files."""
