"""The TypeScript client: it is compiled, tested by its own tests against our server, and packed. In a copy of its folder."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Error, Route, sync_playwright

from open_speech.client import OpenSpeechClient
from tests.client.conftest import KEY, SENTENCE
from tests.waiting import PATIENCE_S

SOURCE = Path(__file__).parent.parent.parent / "clients/js"
NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ENOTCACHED|ERR_SOCKET_TIMEOUT|network")
"""What npm reports when it cannot reach its registry."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled copy of the package. Skips without Node, and when npm cannot get the compiler: a test run offline stays green."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"Node 20 or newer is needed, and this is {version.strip()}")
    folder = tmp_path_factory.mktemp("js") / "client"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    installed = run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
    if installed.returncode and NETWORK.search(installed.stderr):
        pytest.skip("npm cannot reach its registry, which has the TypeScript compiler")
    assert installed.returncode == 0, installed.stderr
    built = run(folder, "npm", "run", "build")
    assert built.returncode == 0, built.stdout
    return folder


def run(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=os.environ | more, capture_output=True, text=True, timeout=5 * PATIENCE_S)


def test_the_types_are_as_a_program_expects_them(package: Path) -> None:
    checked = run(package, "npm", "run", "check")
    assert checked.returncode == 0, checked.stdout


def test_its_own_tests_pass_against_our_server(package: Path, address: str) -> None:
    tests = sorted(str(path.relative_to(package)) for path in (package / "test").glob("*.test.mjs"))
    shown = run(package, "node", "--test", *tests, OPEN_SPEECH_TEST_URL=address, OPEN_SPEECH_TEST_KEY=KEY)
    assert shown.returncode == 0, shown.stdout[-8000:]
    counts = dict(re.findall(r"^\S+ (pass|fail|skipped) (\d+)$", shown.stdout, re.MULTILINE))
    assert (counts["fail"], counts["skipped"]) == ("0", "0")
    assert int(counts["pass"]) >= 25


SCRIPT = """async ([apiKey, pcm]) => {
  const { OpenSpeechClient } = await import("/client-test/index.js");
  const client = new OpenSpeechClient({ baseUrl: "", apiKey });
  const found = { transcripts: [], live: [] };
  found.text = (await client.transcribe(await (await fetch("/client-test/audio.wav")).arrayBuffer())).text;
  const audio = Uint8Array.from(atob(pcm), (character) => character.charCodeAt(0));
  const rt = client.realtimeSession({ turnDetection: null });
  rt.onTranscript((event) => found.transcripts.push(event.transcript));
  rt.sendAudio(audio);
  rt.commit();
  await rt.close();
  for await (const event of client.streamTranscribe([audio], { vad: false, sampleRate: 24000 })) {
    if (event.type === "transcript" && event.is_final) found.live.push(event.text);
  }
  return found;
}"""


def test_it_works_in_a_browser(package: Path, address: str, client: OpenSpeechClient, clip: bytes) -> None:
    """From a page of the server itself: its modules are those of the package, as they are."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    pcm = base64.b64encode(client.speak(SENTENCE, response_format="pcm")).decode()

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name.endswith(".js"):
            route.fulfill(path=package / "dist" / name, content_type="text/javascript")
        else:
            route.fulfill(body=clip, content_type="audio/wav")

    with sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        except Error as error:
            if chromium is None:
                pytest.skip(f"Chromium is not installed: {error.message.splitlines()[0]}")
            raise
        page = browser.new_page()
        page.route("**/client-test/*", answer)
        # A document of the server itself: one that is made up here has no address, and may open no WebSocket to this machine.
        page.goto(f"{address}/livez", timeout=PATIENCE_S * 1000)
        found = page.evaluate(SCRIPT, [KEY, pcm])
        browser.close()
    assert found == {"transcripts": [SENTENCE], "live": [SENTENCE], "text": SENTENCE}


def test_the_package_contains_what_it_runs_and_nothing_else(package: Path) -> None:
    packed = run(package, "npm", "pack", "--dry-run", "--json", "--ignore-scripts")
    (described,) = json.loads(packed.stdout)
    modules = [path.stem for path in (SOURCE / "src").glob("*.ts") if not path.name.endswith(".d.ts")]
    wanted = {f"dist/{name}{end}" for name in modules for end in (".js", ".d.ts")} | {"package.json", "README.md", "LICENSE"}
    assert {file["path"] for file in described["files"]} == wanted


def test_no_type_of_the_package_needs_the_types_of_node(package: Path) -> None:
    assert [path.name for path in (package / "dist").glob("*.d.ts") if re.search(r'from "node:|NodeJS|\bBuffer\b', path.read_text())] == []


def test_the_package_has_no_dependency_and_its_lock_file_names_no_registry() -> None:
    described = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))
    assert not described.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
    assert list(described["devDependencies"]) == ["typescript"]
    assert "://" not in (SOURCE / "package-lock.json").read_text(encoding="utf-8")
