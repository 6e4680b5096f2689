"""Texts that are synthesized for `python -m benchmarks wer`: clauses, paragraphs, hesitations and short commands.

Numbers are written as words, and there are no names, so that errors count misrecognized words and not different spellings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A text and the voice that speaks it."""

    voice: str
    """A Kokoro voice, or `piper` for the Piper model of the benchmarks."""
    text: str
    """Text with careful punctuation."""


SENTENCES = (
    Line("af_heart", "When the rain finally stopped, the children ran out into the garden, and nobody could call them back before supper."),
    Line("am_michael", "She had promised to bring the keys, but the office was locked, so we waited on the stairs until her brother came."),
    Line("bf_emma", "If you turn left at the bridge, you will see a small white house with a green door and two chairs in front of it."),
    Line("bm_george", "The doctor told him to rest for a week, yet he went back to work the next morning as if nothing had happened."),
    Line("piper", "Most of the people in this town have never seen the sea, although it is only three hours away by train."),
    Line("af_bella", "Before we begin the meeting, I would like to thank everyone who stayed late last night to finish the report."),
    Line("am_adam", "He opened the letter slowly, read it twice, and put it back into the drawer without saying a single word."),
    Line("bf_isabella", "Ask not what your country can do for you, ask what you can do for your country."),
    Line("af_nicole", "The bread should stay in the oven until it is brown, and then it has to cool for at least half an hour."),
    Line("am_fenrir", "We can fix the roof before winter, but only if the weather holds and the wood arrives on time."),
    Line("af_sky", "Everyone agreed that the plan was good, except for the one person who had to carry it out."),
    Line("bm_lewis", "The old man sat by the window every evening, watching the boats come in and counting them under his breath."),
    Line("piper", "You should never open that door while the machine is running, because the blades take a while to stop."),
    Line("am_puck", "I looked for my glasses everywhere, in the kitchen, in the car, under the bed, and they were on my head."),
    Line("af_sarah", "After the second bell the hall grew quiet, the lights went down, and the curtain rose on an empty stage."),
    Line("bm_daniel", "The river is too cold for swimming in spring, but in late summer it is as warm as a bath."),
)
PARAGRAPHS = (
    Line(
        "af_kore",
        "The shop opens at nine. On Fridays it stays open until eight in the evening. If you want to return something, please bring the"
        " receipt with you. We cannot take back food or flowers. Anything else can be exchanged within a month.",
    ),
    Line(
        "am_liam",
        "I grew up on a farm near the border. There were six of us, and we all had to help. In winter my father taught us to read by"
        " the fire. I did not see a city until I was twenty. What surprised me most was the noise.",
    ),
    Line(
        "bf_alice",
        "Why do leaves change their color? In autumn the days become shorter, and the trees stop making food. The green slowly fades"
        " away. Then we can see the yellow and the red that were hidden all summer. It happens every year.",
    ),
    Line(
        "bm_fable",
        "Good morning, and welcome on board. Our journey will take about two hours. The weather is calm, so please enjoy the view."
        " Hot drinks are served at the back of the ship. Is this your first time on the lake? Then come up to the deck.",
    ),
)
HESITATIONS = (
    Line("af_alloy", "So, um, I was thinking that maybe we could, uh, move the meeting to Thursday afternoon."),
    Line("am_echo", "Well, the thing is, I, I never really wanted to, um, sell the house in the first place."),
    Line("bf_lily", "Can you, uh, can you tell me where the, um, where the nearest station is?"),
    Line("am_eric", "It was, it was about ten years ago, uh, no, wait, it was more like twelve years ago."),
    Line("af_river", "You know, I think the, um, the second one was better, but, uh, I could be wrong."),
    Line("am_onyx", "We need to, uh, check the numbers again, because, um, because something does not look right."),
    Line("af_jessica", "I mean, he is, uh, he is a nice person, but, um, he talks far too much."),
    Line("piper", "Let me see, um, the blue one, no, sorry, the green one is, uh, a little cheaper."),
)
COMMANDS = (
    Line("af_aoede", "Stop."),
    Line("am_santa", "Turn it off."),
    Line("af_nova", "Lights on."),
    Line("am_michael", "Next song."),
    Line("bf_emma", "Yes, please."),
    Line("bm_george", "Call my mother."),
    Line("piper", "Volume down."),
    Line("af_heart", "Open the window."),
    Line("am_adam", "Good night."),
    Line("af_bella", "Set a timer."),
    Line("bm_daniel", "No, thanks."),
    Line("bf_isabella", "What time is it?"),
    Line("am_fenrir", "Cancel."),
    Line("af_sarah", "Play some music."),
    Line("piper", "Lock the door."),
    Line("am_puck", "Louder."),
)
