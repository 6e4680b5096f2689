"""Settings: remote debugging of the server's processes."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import Names
from open_speech.security.network import is_loopback


class DebugSettings(BaseModel):
    """Remote debugging of the server's processes with debugpy, by Visual Studio Code, PyCharm or another debugger."""

    debugpy_enable: bool = Field(
        False,
        description="Let a debugger attach to the server's processes. Requires the extra `debug`. A debugger runs any code as the server's "
        "user, and needs no API key.",
    )
    debugpy_host: str = Field("127.0.0.1", description="Address on which processes listen for a debugger.")
    debugpy_port: int = Field(
        5678, ge=1, le=65535, description="Port of the first process that may be debugged; each further process has the next port."
    )
    debugpy_wait_for_client: bool = Field(False, description="Let a process that may be debugged wait at its start for a debugger.")
    debugpy_process: Names = Field(
        (),
        description="Processes that may be debugged, in the order of their ports: `front` (the APIs), `wyoming`, or names of backends, "
        "separated by commas. Empty: all of them.",
    )

    @property
    def debugger_is_exposed(self) -> bool:
        """Whether other machines can attach a debugger."""
        return self.debugpy_enable and not is_loopback(self.debugpy_host)
