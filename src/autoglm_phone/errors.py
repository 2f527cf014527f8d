"""Typed errors: what was wrong, what was expected, what to do.

Every boundary of the package raises one of these. The HTTP layer turns them into OpenAI's error shape
(`status`, `type`, `param`, `code`), the command line into one line and exit code 2. The message of an
`AutoGLMError` is written for the client; any other exception is a bug and its text never leaves the server.
"""

from __future__ import annotations


class AutoGLMError(Exception):
    """Base of all errors that a user may see.

    Args:
        message: what was wrong, what was expected and what to do, in one or two sentences.
        param: the request field or flag at fault, if one is.
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class InvalidRequestError(AutoGLMError):
    """The request can't be served as it is (HTTP 400)."""

    status = 400
    type = "invalid_request_error"


class ContextLengthError(InvalidRequestError):
    """Prompt plus requested output exceed the context window."""

    code = "context_length_exceeded"


class MediaError(InvalidRequestError):
    """A picture or sound that is broken, too large or of an unknown kind."""

    code = "invalid_media"


class GrammarError(InvalidRequestError):
    """A JSON schema or grammar that is invalid, unsupported or too costly to compile."""

    code = "invalid_grammar"


class AuthenticationError(AutoGLMError):
    """No key or a wrong one (HTTP 401)."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDeniedError(AutoGLMError):
    """The server's configuration forbids this (HTTP 403)."""

    status = 403
    type = "permission_error"


class NotFoundError(AutoGLMError):
    """Unknown model or route (HTTP 404)."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"


class PayloadTooLargeError(InvalidRequestError):
    """The body or a part of it exceeds its bound (HTTP 413)."""

    status = 413
    code = "payload_too_large"


class OverloadedError(AutoGLMError):
    """The queue is full (HTTP 503); the client should retry later."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"


class EngineError(AutoGLMError):
    """One request failed inside the engine; the others go on (HTTP 500)."""

    code = "engine_error"


class ConfigError(AutoGLMError):
    """A flag, a configuration file or a combination of them that makes no sense (exit code 2)."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_configuration"


class CheckpointError(ConfigError):
    """A model folder that is missing, incomplete, corrupt or of an unknown architecture."""

    code = "invalid_checkpoint"


class NotBuiltError(ConfigError):
    """A known flag whose part is not built yet: refused, never accepted in silence."""

    code = "not_available"
