"""The side that speaks: one model in a process of its own, that answers lines of JSON with figures.

Run by path with the python of the environment that holds the library, so nothing but the standard library is
imported here:

    PYTHON benchmarks/peers/voices.py KIND '{"tokens": 48, …}'

A line {"begin": SYSTEM} starts a conversation, {"say": TEXT} goes on with it. Times are taken where the text arrives:
from the message to the first piece of text, and from there to the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time


class Watch:
    """Notes when pieces of a reply came."""

    def __init__(self):
        self._started = time.perf_counter()
        self._times = []
        self._texts = []

    def take(self, text):
        """A piece of text that came just now."""
        if text:
            self._times.append(time.perf_counter())
            self._texts.append(text)

    @property
    def text(self):
        """The reply so far."""
        return "".join(self._texts)

    def figures(self, tokens, **more):
        """`tokens`: of the reply, as its engine counts them; 0 takes a piece for a token."""
        drawn_s = self._times[-1] - self._times[0]
        drawn = (tokens or len(self._times)) - 1
        return {
            "first_s": self._times[0] - self._started,
            "tokens_per_s": drawn / drawn_s if drawn_s > 0 else 0.0,
            "tokens": drawn + 1,
            **more,
        }


class Talker:
    """Keeps the messages for those that do not."""

    def begin(self, system):
        """A new conversation."""
        self.messages = [{"role": "system", "content": system}] if system else []

    def say(self, text):
        """One turn; its figures."""
        self.messages.append({"role": "user", "content": text})
        watch = Watch()
        figures = self.reply(watch)
        self.messages.append({"role": "assistant", "content": watch.text})
        return figures


class Mmchat:
    """A conversation as `mmchat talk` holds it: store, recall, window. `engine`: another one for the same weights."""

    def __init__(self, options):
        from threading import Event

        from mmchat.openmp import settle_waiting

        settle_waiting()  # as the program does at its start, before any library looks

        from mmchat.chat.session import UserInput
        from mmchat.domain import PromptReady, ReplyDelta, ReplyEnded
        from mmchat.wiring import WiringOptions, open_desk

        self._new = (UserInput, Event)
        self._kinds = (PromptReady, ReplyDelta, ReplyEnded)
        self._desk = open_desk(
            WiringOptions(
                model=options.get("model"),
                max_tokens=options["tokens"],
                temperature=0.0,
                seed=1,
                should_recall=options["recall"],
            )
        )
        self._desk.engines.language_model()

    def begin(self, system):
        """A new conversation; with its own system text, whatever `system` is."""
        self._session = self._desk.new_session()

    def say(self, text):
        """One turn; its figures, and what the model was told to be."""
        user_input, event = self._new
        prompt_ready, delta, ended = self._kinds
        watch, usage, system = Watch(), None, ""
        for each in self._session.reply(user_input(text), event()):
            if isinstance(each, delta):
                watch.take(each.text)
            elif isinstance(each, prompt_ready):
                system = "\n\n".join(message.text for message in each.messages if message.role == "system")
            elif isinstance(each, ended):
                usage = each.turn.usage
        return watch.figures(
            usage.reply_tokens, prompt_tokens=usage.prompt_tokens, cached_tokens=usage.cached_tokens, system=system
        )


class LlamaCppPython(Talker):
    """llama-cpp-python's chat completion with the settings it has by itself."""

    def __init__(self, options):
        from llama_cpp import Llama

        self._tokens = options["tokens"]
        self._model = Llama(model_path=options["file"], n_ctx=options["context"], verbose=False)

    def reply(self, watch):
        """The next turn."""
        answer = self._model.create_chat_completion(
            messages=self.messages, stream=True, max_tokens=self._tokens, temperature=0.0
        )
        for chunk in answer:
            watch.take(chunk["choices"][0]["delta"].get("content"))
        return watch.figures(0)


class Transformers(Talker):
    """`generate` of transformers, as its documentation shows it."""

    def __init__(self, options):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._tokens = options["tokens"]
        self._tokenizer = AutoTokenizer.from_pretrained(options["folder"])
        self._model = AutoModelForCausalLM.from_pretrained(options["folder"], dtype=getattr(torch, options["dtype"]))

    def reply(self, watch):
        """The next turn."""
        inputs = self._tokenizer.apply_chat_template(
            self.messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        width = inputs["input_ids"].shape[1]
        with self._torch.inference_mode():
            drawn = self._model.generate(
                **inputs, max_new_tokens=self._tokens, do_sample=False, streamer=_Pieces(self._tokenizer, watch)
            )
        return watch.figures(drawn.shape[1] - width, prompt_tokens=width)


class _Pieces:
    """What `generate` hands its tokens to; the first are the prompt's."""

    def __init__(self, tokenizer, watch):
        self._tokenizer, self._watch = tokenizer, watch
        self._is_prompt = True

    def put(self, value):
        """Tokens that were read or drawn."""
        if not self._is_prompt:
            self._watch.take(self._tokenizer.decode(value, skip_special_tokens=True))
        self._is_prompt = False

    def end(self):
        """No more."""


class BareServer:
    """llama.cpp's server as xllamacpp starts it by itself; it says where it listens and is asked over HTTP."""

    def __init__(self, options):
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = options["file"]
        parameters.verbosity = -1
        self._server = xllamacpp.Server(parameters)
        self.address = self._server.listening_address


KINDS = {
    "mmchat": Mmchat,
    "llama-cpp-python": LlamaCppPython,
    "transformers": Transformers,
    "bare-server": BareServer,
}


def main():
    """Load, say so, answer lines until there are no more."""
    kind, options = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not come between
    voice = KINDS[kind](options)
    print(json.dumps({"ready": getattr(voice, "address", "")}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {}
        if "begin" in asked:
            voice.begin(asked["begin"])
        elif "say" in asked:
            answer = voice.say(asked["say"])
        answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1e6 if sys.platform == "darwin" else 1e3
        )
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
