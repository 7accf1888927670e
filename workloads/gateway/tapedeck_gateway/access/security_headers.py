"""The headers that every response has: those of the application, and those of the HTTP protocol's own refusals."""

from __future__ import annotations

# The style that lightweight-charts adds for its attribution logo; the browser test fails if it changes.
_LOGO_STYLE = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_LOGO_STYLE}; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
SECURITY_HEADERS = {
    "content-security-policy": f"{POLICY}'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
