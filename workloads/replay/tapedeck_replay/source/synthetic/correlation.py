"""Correlated normal random numbers."""

from __future__ import annotations

import numpy as np

from tapedeck_common.store.bars import Floats

TOLERANCE = 1e-9  # rounding error of an eigenvalue of 0


def checked_correlation(matrix: Floats) -> Floats:
    """The matrix, if it is a correlation matrix. Raises ValueError, which names the wrong element.

    Shape (n, n): square, symmetric, 1 on the diagonal, positive semidefinite.
    """
    rows = len(matrix)
    if matrix.shape != (rows, rows):
        raise ValueError(f"correlation: got shape {matrix.shape}, expected as many columns as rows")
    for i in range(rows):
        if matrix[i, i] != 1:
            raise ValueError(f"correlation[{i}][{i}]: got {matrix[i, i]:g}, expected 1 on the diagonal")
        for j in range(i):
            if matrix[i, j] != matrix[j, i]:
                raise ValueError(
                    f"correlation[{i}][{j}]: got {matrix[i, j]:g}, expected {matrix[j, i]:g} as in [{j}][{i}]"
                )
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if lowest < -TOLERANCE:
        raise ValueError(
            f"correlation: got {matrix.tolist()}, which is not positive semidefinite (lowest eigenvalue "
            f"{lowest:.4g}); expected a positive semidefinite matrix"
        )
    return matrix


def cholesky(matrix: Floats) -> Floats:
    """Lower triangular L of shape (n, n) with L Lᵀ = matrix, for a positive semidefinite matrix.

    Cholesky–Banachiewicz; a column that depends on earlier ones becomes 0 (Higham, Accuracy and Stability of Numerical
    Algorithms, §10.3). This allows correlations of 1, which numpy's cholesky rejects.
    """
    n = len(matrix)
    lower = np.zeros((n, n))
    for j in range(n):
        rest = matrix[j:, j] - lower[j:, :j] @ lower[j, :j]
        if rest[0] > TOLERANCE:
            lower[j:, j] = rest / np.sqrt(rest[0])
    return lower


def correlated(normals: Floats, lower: Floats) -> Floats:
    """Independent normals of shape (steps, n) → normals with correlation L Lᵀ, of the same shape.

    Summed column by column in a fixed order, because the rounding of a matrix product depends on the machine.
    """
    out = np.zeros_like(normals)
    for j in range(normals.shape[1]):
        out += normals[:, j, None] * lower[None, :, j]
    return out
