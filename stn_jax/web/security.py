"""Who may ask, from where, and what a browser may do with what it gets."""

import dataclasses
import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized

from stn_jax.config import ConfigError

SHORTEST_TOKEN = 16
OPEN_TO_ALL = {"static", "page.sign_in", "health.healthz", "health.readyz"}
"""Endpoints that need no token: they tell nothing about a photo or the model."""

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "img-src 'self' data:",
            "style-src 'self'",
            "script-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclasses.dataclass(frozen=True)
class Access:
    """Who may use the page.

    Attributes:
      token: the secret that everybody must show; None: nobody needs one.
      public_url: where people reach the page, when a proxy stands in front.
      host: what the server listens on; where this is a name, it is one of the server's.
    """

    token: str | None = None
    public_url: str | None = None
    host: str = "127.0.0.1"

    def __post_init__(self):
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise ConfigError(
                f"--token must have at least {SHORTEST_TOKEN} characters. Make one: "
                'python -c "import secrets; print(secrets.token_urlsafe())"'
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ConfigError("--token must be of ASCII letters, digits and signs")
        if self.public_url is not None and not _is_origin(self.public_url):
            raise ConfigError(
                f"--public-url {self.public_url} must be like https://photos.example.org, "
                "without a path"
            )

    @property
    def secure(self) -> bool:
        """Whether browsers reach the page by TLS."""
        return (self.public_url or "").startswith("https://")

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server.

        A page elsewhere can point its own name at this machine and then read the answers as if
        they were its own (DNS rebinding). It cannot do that to an address or to our names.
        """
        name = _host_name(host)
        return name is not None and (
            _is_address(name)
            or name
            in {"localhost", socket.gethostname().lower(), self.host.lower(), self._public_name}
        )

    def is_own(self, origin: str, host: str) -> bool:
        """Whether an Origin header is of a page of this server, asked for by this Host header."""
        # A proxy in front may speak TLS, and on a port that it does not pass on.
        public = [self.public_url.removesuffix("/")] if self.public_url else []
        own = (f"http://{host}", f"https://{host}", *public)
        return origin.lower() in (url.lower() for url in own)

    def admits(self, request: flask.Request) -> bool:
        """Whether a request shows the token: as a bearer, or by the cookie of the sign-in."""
        if self.token is None:
            return True
        bearer = request.authorization
        if bearer is not None and bearer.type == "bearer":
            return self.is_token(bearer.token or "")
        return _equal(request.cookies.get(self.cookie, ""), self.session)

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token; takes as long for a wrong one as for the right one."""
        return self.token is not None and _equal(text, self.token)

    @property
    def session(self) -> str:
        """What the cookie holds: made from the token, but not the token."""
        return self._made_from_token(b"stn_jax page")

    @property
    def cookie(self) -> str:
        """What the cookie is called: browsers send it to every port of a machine.

        So servers of other models there, with tokens of their own, must call theirs otherwise.
        """
        return f"stn_jax_{self._made_from_token(b'stn_jax cookie')[:8]}"

    def _made_from_token(self, purpose: bytes) -> str:
        return hmac.new((self.token or "").encode(), purpose, "sha256").hexdigest()

    @property
    def _public_name(self) -> str | None:
        return urlsplit(self.public_url or "").hostname


def check_listening(access: Access, *, insecure_no_token: bool) -> None:
    """Refuses to serve other machines without a token, unless that is said to be wanted.

    Raises:
      ConfigError: saying so.
    """
    if access.token is None and not insecure_no_token and not _is_loopback(access.host):
        raise ConfigError(
            f"--host {access.host} lets other machines use the page: give a --token that they must "
            "show, or --insecure-no-token if everybody who can reach it may use it"
        )


def protect(app: flask.Flask, access: Access) -> None:
    """Checks every request before anything else sees it, and marks every response."""

    @app.before_request
    def check() -> None:
        request = flask.request
        if not access.knows_host(request.host):
            raise BadRequest("This server is not known by that name (--public-url).")
        if request.method not in ("GET", "HEAD", "OPTIONS") and _is_cross_site(request, access):
            raise Forbidden("The request came from another site's page.")
        if request.endpoint not in OPEN_TO_ALL and not access.admits(request):
            raise Unauthorized("The token of this server is needed.")

    @app.after_request
    def mark(response: flask.Response) -> flask.Response:
        response.headers.update(HEADERS)
        return response


def _is_cross_site(request: flask.Request, access: Access) -> bool:
    """Whether a browser sends this for another site's page; programs send neither header."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and not access.is_own(origin, request.host)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _host_name(host: str) -> str | None:
    """The name in a Host header, without the port, in lower case."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_origin(url: str) -> bool:
    """Whether a URL names a server that browsers reach, and nothing on it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and parts.hostname is not None
    return known and url.removesuffix("/") == f"{parts.scheme}://{parts.netloc}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
