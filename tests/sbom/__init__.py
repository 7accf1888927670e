"""Software bills of materials (CycloneDX) of what is released, from the files that pin its parts. See SECURITY.md."""
