"""Tests that share a deck: it goes when the last of them is through, since an idle one takes processor time too."""
