"""The version of Tapedeck: images hold no package metadata that could tell."""

VERSION = "0.1.0"
