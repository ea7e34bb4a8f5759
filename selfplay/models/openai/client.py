"""The HTTP client for every OpenAI-compatible server.

One of the two doors by which text leaves the machine: it cannot be built without a privacy filter. Async inside,
synchronous outside. A server's failure is a completion with `finish_reason="error"`, never an answer; only a wrong
set-up (ConfigError) and a used-up budget (BudgetError) raise.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx2

from selfplay.errors import BudgetError, ConfigError
from selfplay.models.base import Backend, Capabilities
from selfplay.models.openai.access import PerTrace, Privacy, checked_url, key_from
from selfplay.models.openai.background import Background
from selfplay.models.openai.cache import ReplyCache
from selfplay.models.openai.limits import Budget, Gate, Limit, Patience, Spent, retry_after
from selfplay.models.openai.wire import Ask, Kind, LogprobsMode, Reply, Trouble, clean, concession, read
from selfplay.records import Completion, Request, Sampling
from selfplay.seeds import seed_of

_OURS = frozenset({"model", "messages", "prompt", "n", "seed", "stream", "response_format"})
REACH_SECONDS = 10.0
"""How long a server may take to accept a connection before a run starts."""
_log = logging.getLogger(__name__)


class Http(Backend):
    """Completes prompts over HTTP. Give `with`, or call `close`. Calls must not overlap: one caller at a time.

    `base_url` ends before `/chat/completions`, as in `http://host:8000/v1`. `privacy` maps every text that is sent.
    `api_key_env` names the environment variable that holds the key; the key itself is never shown, logged or raised.
    `mode` chat sends messages (a bare prompt as one user message), text sends bare prompts to `/completions`.
    `cache` is a file (or a ReplyCache) that keeps replies and the ledger, None keeps them in memory. `token_ids` asks for exact
    ids (vLLM's `return_token_ids`), `logprobs` says what the server's log-probabilities mean: raw ones are kept only
    where they are the sampler's own (temperature 1, top_p 1, no top_k). `extra` are further body fields, for a server
    whose own sampling defaults have to be overruled. `use_n` False sends one request a sample from the start.
    `identity` (default: the model name) stands in attempts and in cache keys: it must change with the served weights.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        privacy: Privacy,
        identity: str | None = None,
        api_key_env: str | None = None,
        mode: Literal["chat", "text"] = "chat",
        cache: str | Path | ReplyCache | None = None,
        budget: Budget | None = None,
        patience: Patience | None = None,
        max_concurrency: int = 16,
        max_reply_bytes: int = 8 * 2**20,
        token_ids: bool = False,
        logprobs: LogprobsMode = "off",
        extra: Mapping[str, Any] | None = None,
        use_n: bool = True,
        use_environment: bool = False,
    ) -> None:
        if privacy != "none" and not callable(privacy):
            raise ConfigError(f"{model}: privacy is {privacy!r}; give a filter of text, or the word none")
        if taken := sorted(_OURS & set(extra or {})):
            raise ConfigError(f"{model}: extra sets {', '.join(taken)}, which the backend sets itself; leave it out")
        self.url = checked_url(base_url)
        self.model = model
        self.identity = identity or model
        self.capabilities = Capabilities(token_ids=token_ids, logprobs=logprobs != "off", json_schema=True)
        self.mode = mode
        self.budget = budget or Budget()
        self.patience = patience or Patience()
        self.limit = Limit(max_concurrency)
        self.max_reply_bytes = max_reply_bytes
        self.refused: frozenset[str] = frozenset()
        """Fields this server has refused; they are no longer sent."""
        self.rung = 0
        """How far down the schema ladder this server needs: 0 json_schema, 1 json_object, 2 neither."""
        self.use_n = use_n
        """Whether several samples go into one request; turned off when the server ignores `n`."""
        self._privacy = privacy
        self._key = key_from(api_key_env)
        self._key_env = api_key_env
        self._token_ids, self._logprobs, self._extra = token_ids, logprobs, dict(extra or {})
        self._use_environment = use_environment
        self._owns_cache = not isinstance(cache, ReplyCache)
        self.cache = cache if isinstance(cache, ReplyCache) else ReplyCache(cache)
        self._reserved = Spent()
        self._strikes = 0
        self._answered = False
        self._background = Background(f"http:{model}")
        self._client: httpx2.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"Http({self.url!r}, {self.model!r})"

    @property
    def spent(self) -> Spent:
        """All that this identity ever spent by this cache file, earlier runs included."""
        return self.cache.spent(self.identity)

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`n` completions a request, in order; see `Backend`. Usage of a reply stands on its first choice.

        Raises ConfigError (key, address, model name) and BudgetError; replies that came before are in the cache.
        """
        return self._background.run(self._complete(requests, n, sampling, seed, None))

    def complete_schema(
        self, requests: Sequence[Request], *, schema: Mapping[str, Any], n: int, sampling: Sampling, seed: int
    ) -> list[list[Completion]]:
        """As `complete`, asking the server to hold replies to a JSON schema as far as it can; check them all the same."""
        return self._background.run(self._complete(requests, n, sampling, seed, schema))

    def unreachable(self) -> str:
        """Why no connection to the server can be made; "" if it can, whatever the server says. Asks for the list of models."""
        return self._background.run(self._unreachable())

    async def _unreachable(self) -> str:
        try:
            await self._open().get(f"{self.url}/models", timeout=REACH_SECONDS)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return self._redacted(f"{type(error).__name__}: {error}")
        except httpx2.HTTPError:
            return ""
        return ""

    def close(self) -> None:
        """Closes connections, thread and its own cache; safe to call twice."""
        if self._background.started:
            self._background.run(self._close_client())
        self._background.close()
        if self._owns_cache:
            self.cache.close()

    async def _close_client(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # What is asked

    def _ask(self, request: Request, sampling: Sampling, schema: Mapping[str, Any] | None) -> Ask:
        fields: dict[str, Any] = {"model": self.model, "temperature": sampling.temperature, "top_p": sampling.top_p}
        fields["max_tokens"] = sampling.max_new_tokens
        if sampling.stop:
            fields["stop"] = list(sampling.stop)
        if sampling.top_k:
            fields["top_k"] = sampling.top_k
        fields |= self._extra
        chat, filtered = self.mode == "chat", self._filter()
        if chat:
            said = [(m.role, m.content) for m in request.messages or ()] or [("user", request.prompt or "")]
            fields["messages"] = [{"role": role, "content": filtered(text)} for role, text in said]
        elif request.prompt is None:
            raise ConfigError(f"{self!r}: task {request.task_id} is a chat and mode is text; set mode to chat")
        else:
            fields["prompt"] = filtered(request.prompt)
        same = self._logprobs == "processed" or (sampling.temperature, sampling.top_p, sampling.top_k) == (1.0, 1.0, 0)
        keep = self._logprobs != "off" and same
        optional: dict[str, Any] = {"return_token_ids": True} if self._token_ids else {}
        if keep:
            optional |= {"logprobs": True, "top_logprobs": 0} if chat else {"logprobs": 0}
        path = "chat/completions" if chat else "completions"
        return Ask(path, fields, optional, schema, keep)

    def _filter(self) -> Callable[[str], str]:
        """The filter of one request."""
        if self._privacy == "none":
            return clean
        privacy = self._privacy.fresh() if isinstance(self._privacy, PerTrace) else self._privacy
        return lambda text: clean(privacy(text))

    async def _complete(
        self, requests: Sequence[Request], n: int, sampling: Sampling, seed: int, schema: Mapping[str, Any] | None
    ) -> list[list[Completion]]:
        asks = [self._ask(request, sampling, schema) for request in requests]
        keys = [[ask.key(self.identity, seed, index) for index in range(n)] for ask in asks]
        done = self.cache.get(list(dict.fromkeys(key for row in keys for key in row)))
        self._strikes = min(self._strikes, self.patience.give_up_after - 1)  # a dead server is tried once a call
        call = _Call(seed, Gate(self.limit), done)
        owed = {row[0]: (ask, row) for ask, row in zip(asks, keys, strict=True) if any(k not in done for k in row)}
        work = [self._fill(call, ask, row) for ask, row in owed.values()]
        await _all(work)
        if call.stop is not None:
            raise call.stop
        return [[done[key] for key in row] for row in keys]

    async def _fill(self, call: "_Call", ask: Ask, keys: list[str]) -> None:
        """Gets the completions that are owed of one prompt: in one request where the server honours `n`."""
        owed = [index for index, key in enumerate(keys) if key not in call.done]
        if len(owed) > 1 and self.use_n:
            owed = owed[await self._send(call, ask, keys, owed) :]
        await _all([self._send(call, ask, keys, [index]) for index in owed])

    async def _send(self, call: "_Call", ask: Ask, keys: list[str], indexes: list[int]) -> int:
        """One request for these samples, tried until it is answered or given up; how many it settled, at least one."""
        async with call.places:
            reply = await self._exchange(call, ask, keys[indexes[0]], indexes)
        if isinstance(reply, Trouble):
            lost = Completion(text="", finish_reason="error", error=f"{reply.kind.value}: {reply.text}")
            call.done.update((keys[index], lost) for index in indexes)
            return len(indexes)
        got = dict(zip((keys[index] for index in indexes), reply.completions, strict=False))
        self.cache.put(self.identity, got, self.budget.priced(reply.spent))
        call.done.update(got)
        self.on_tokens(reply.spent.completion_tokens, len(got))
        if len(got) < len(indexes) and self.use_n:
            self.use_n = False
            _log.info("%s ignores n (%d choices for %d): one request a sample", self, len(got), len(indexes))
        return len(got)

    # Sending

    async def _exchange(self, call: "_Call", ask: Ask, key: str, indexes: list[int]) -> Reply | Trouble:
        """Tries until there is a reply, or no further try is due."""
        clock = asyncio.get_running_loop().time
        started, failures, n = clock(), 0, len(indexes)
        while True:
            if self._strikes >= self.patience.give_up_after:
                return Trouble(Kind.DOWN, f"not asked, {self._strikes} requests in a row failed; last: {call.last}")
            progress = call.replies
            reply = await self._once(call, ask, n, seed_of(call.seed, indexes[0]))
            if isinstance(reply, Reply):
                self._strikes, self._answered = 0, True
                call.replies += 1
                return reply
            call.last = reply.text
            if reply.kind is Kind.REFUSED and n > 1:
                n = 1  # perhaps it does not take `n`
                continue
            if reply.kind in (Kind.REFUSED, Kind.NEVER, Kind.SETUP, Kind.QUOTA):
                return self._final(call, reply)
            failures += not (reply.kind is Kind.BUSY and call.replies > progress)
            wait = max(self.patience.wait(max(failures, 1), call.seed, key), reply.retry_after or 0.0)
            late = clock() - started + wait > self.patience.patience_seconds
            too_long = (reply.retry_after or 0.0) > self.patience.max_wait_seconds
            if failures > self.patience.retries or late or too_long:
                self._strikes += 1
                return reply
            await asyncio.sleep(wait)

    def _final(self, call: "_Call", trouble: Trouble) -> Trouble:
        """A refusal that no further try will change; stops the call where the set-up or the account is at fault."""
        if trouble.kind is Kind.QUOTA:
            call.stop = BudgetError(f"{self}: {trouble.text}; raise the provider's quota and run the same command")
        elif trouble.kind is Kind.SETUP and not self._answered:
            key = f"the key in ${self._key_env}" if self._key_env else "no key (name its variable in api_key_env)"
            call.stop = ConfigError(f"{self}: {trouble.text}; sent with {key}: check key, base_url and model")
        return trouble

    async def _once(self, call: "_Call", ask: Ask, n: int, seed: int) -> Reply | Trouble:
        """One exchange within the budget, asked again at once where the server refuses a field it can do without."""
        worst = self.budget.priced(ask.estimate(n))
        while True:
            if not await self._reserve(call, worst):
                return Trouble(Kind.NEVER, "not asked, the call was stopped")
            try:
                reply, body = await self._through(call.gate, ask, n, seed)
            finally:
                self._release(worst)
                call.settled.set()
            if isinstance(reply, Reply):
                return reply
            if reply.kind is Kind.LOST:
                self.cache.put(self.identity, {}, worst)
            if reply.kind is not Kind.REFUSED or not self._concede(reply.text, body):
                return reply

    async def _through(self, gate: Gate, ask: Ask, n: int, seed: int) -> tuple[Reply | Trouble, dict[str, Any]]:
        """One exchange when the server may take it, and what it teaches about its pace; with the body that was sent."""
        epoch = await gate.enter()
        try:
            body = ask.wire(n=n, seed=seed, rung=self.rung, refused=self.refused)
            reply = await self._post(ask, body, n)
        finally:
            gate.leave()
        if isinstance(reply, Reply):
            self.limit.grow()
        elif reply.kind in (Kind.BUSY, Kind.DOWN):
            self.limit.shrink(epoch)
            gate.pause(min(reply.retry_after or 0.0, self.patience.max_wait_seconds))
        return reply, body

    def _concede(self, text: str, body: Mapping[str, Any]) -> bool:
        """Learns from a refusal; whether the same request can be asked in another form."""
        field = concession(text, body)
        if field == "response_format":
            self.rung = max(self.rung, 1 if body[field]["type"] == "json_schema" else 2)
        elif field is not None:
            self.refused |= {field}
        if field is not None:
            _log.warning("%s refuses %s, which is no longer sent: %s", self, field, text)
        return field is not None

    async def _reserve(self, call: "_Call", worst: Spent) -> bool:
        """Sets the worst case aside, waiting for requests under way; False, with the call stopped, where it cannot fit."""
        while call.stop is None:
            if not self.budget.limited:
                self._reserved += worst
                return True
            spent = self.spent
            if self.budget.fits(spent + self._reserved + worst):
                self._reserved += worst
                return True
            if self._reserved.requests == 0:
                call.stop = BudgetError(
                    f"{self}: the budget is used up, {self.budget.describe(spent)}, and the next request may take "
                    f"{worst.tokens} tokens; raise it and run the same command"
                )
                break
            call.settled.clear()
            await call.settled.wait()
        return False

    def _release(self, worst: Spent) -> None:
        rest = self._reserved - worst
        self._reserved = rest if rest.requests else Spent()  # no crumbs of floating point

    async def _post(self, ask: Ask, body: dict[str, Any], n: int) -> Reply | Trouble:
        """Sends one body and reads the reply within the deadline and the size limit."""
        try:
            async with asyncio.timeout(self.patience.deadline_seconds):
                async with self._open().stream("POST", f"{self.url}/{ask.path}", json=body) as response:
                    payload = await self._payload(response)
                    after = retry_after(response.headers.get("retry-after"))
        except TimeoutError:
            return Trouble(Kind.LOST, f"no whole reply within {self.patience.deadline_seconds:g} s")
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return Trouble(Kind.DOWN, self._redacted(f"cannot connect to {self.url}, {type(error).__name__}: {error}"))
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            return Trouble(Kind.LOST, self._redacted(f"cut off, {type(error).__name__}: {error}"))
        if isinstance(payload, str):
            return Trouble(Kind.NEVER, payload)
        if self._key:
            payload = payload.replace(self._key.encode(), b"[key]")  # before any text of it is cut short
        return read(response.status_code, payload, ask, n, after)

    async def _payload(self, response: httpx2.Response) -> bytes | str:
        """The body, or why it is not taken. Compressed bodies are refused: a small one could unpack to anything."""
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            return f"a reply in {encoding[:20]!r}, though identity was asked for"
        payload = bytearray()
        async for part in response.aiter_raw():
            payload += part
            if len(payload) > self.max_reply_bytes:
                return f"a reply above {self.max_reply_bytes} bytes (max_reply_bytes)"
        return bytes(payload)

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            headers = {"Accept-Encoding": "identity"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            most = self.limit.most
            self._client = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(None, connect=min(30.0, self.patience.deadline_seconds)),
                # idle connections are dropped before servers do (uvicorn: 5 s): a request lost there counts as paid
                limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=3.0),
                follow_redirects=False,
                trust_env=self._use_environment,
                verify=self.url.startswith("https:"),  # plain http needs no certificates, which are slow to load
            )
        return self._client

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


class _Call:
    """What the tasks of one call share."""

    def __init__(self, seed: int, gate: Gate, done: dict[str, Completion]) -> None:
        self.seed, self.gate, self.done = seed, gate, done
        self.places = asyncio.Semaphore(gate.limit.most)
        """Held over all tries of an item, waits included: an item is given up before the next one is begun."""
        self.settled = asyncio.Event()
        self.replies = 0
        self.last = ""
        self.stop: BudgetError | ConfigError | None = None


async def _all(work: Sequence[Coroutine[Any, Any, Any]]) -> None:
    """All of it, at once; the first exception ends the rest (it is a bug or a full disk, never a server's fault)."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
