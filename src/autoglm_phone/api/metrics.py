"""Prometheus metrics: vLLM's names under our prefix, and ours. One registry an app; labels come from fixed sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoglm_phone.api.response_cache import ResponseCache

PREFIX = "autoglm_phone:"
_TOWERS = ("image", "audio")
_REWRITES = ("depth", "kv", "thought")
_FINISHED = ("stop", "length", "abort", "error")
# EngineStats histogram → (metric, help)
_HISTOGRAMS = {
    "time_to_first_token": ("time_to_first_token_seconds", "Seconds until the first token"),
    "inter_token_latency": ("inter_token_latency_seconds", "Seconds between tokens"),
    "time_per_output_token": ("request_time_per_output_token_seconds", "Mean seconds a token after the first"),
    "e2e_latency": ("e2e_request_latency_seconds", "Seconds of a whole request"),
    "queue_time": ("request_queue_time_seconds", "Seconds spent waiting"),
    "request_prompt_tokens": ("request_prompt_tokens", "Prompt tokens of a request"),
    "request_generation_tokens": ("request_generation_tokens", "Generated tokens of a request"),
    "length_error": ("length_error_tokens", "Mean error of a request's expected output length, in tokens"),
    "step_tokens": ("iteration_tokens_total", "Tokens of an engine step"),
}


class Metrics:
    """model: the served name, the one value of the label `model_name`. stats: the engine's, or None while loading.
    responses: None without a response cache."""

    def __init__(self, model: str, stats: Callable[[], Any], responses: ResponseCache | None = None):
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_EngineCollector(model, stats))
        if responses is not None:
            self.registry.register(_ResponseCollector(responses))
        self._http = Counter(
            f"{PREFIX}http_requests", "HTTP requests by route and status", ["route", "status"], registry=self.registry
        )
        self._n = Histogram(
            f"{PREFIX}request_params_n", "n of a request", buckets=(1, 2, 5, 10, 20), registry=self.registry
        )
        self._max_tokens = Histogram(
            f"{PREFIX}request_params_max_tokens",
            "max_tokens of a request",
            buckets=(1, 10, 100, 500, 1000, 2000, 5000, 10000, 20000, 50000),
            registry=self.registry,
        )
        self._reasoning = Counter(f"{PREFIX}reasoning_tokens", "Tokens spent in thoughts", registry=self.registry)
        self._media = Counter(f"{PREFIX}media", "Pictures and clips received", ["kind"], registry=self.registry)
        self._tool_calls = Counter(f"{PREFIX}tool_calls", "Tool calls returned", registry=self.registry)
        for kind in ("image", "audio"):
            self._media.labels(kind)

    def http(self, route: str, status: int) -> None:
        self._http.labels(route, str(status)).inc()

    def request(self, n: int, max_tokens: int, kinds: list[str]) -> None:
        self._n.observe(n)
        self._max_tokens.observe(max_tokens)
        for kind in kinds:
            self._media.labels(kind).inc()

    def answered(self, reasoning_tokens: int, tool_calls: int) -> None:
        self._reasoning.inc(reasoning_tokens)
        self._tool_calls.inc(tool_calls)

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _EngineCollector(Collector):
    """Reads EngineStats at each scrape, so that nothing is counted twice."""

    def __init__(self, model: str, stats: Callable[[], Any]):
        self._labels = (["model_name"], [model])
        self._stats = stats

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        if stats is None:
            return
        names, values = self._labels
        for name, text, value in (
            ("num_requests_running", "Requests in the running batch", stats.running),
            ("num_requests_waiting", "Requests that wait", stats.waiting),
            ("kv_cache_usage_perc", "Share of KV pages in use, 0 to 1", stats.kv_usage),
            ("tower_loaded_bytes", "Bytes of vision and audio towers in memory", stats.tower_bytes),
        ):
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=names)
            gauge.add_metric(values, value)
            yield gauge
        for name, text, value in (
            ("prefix_cache_queries", "Tokens looked up in the prefix cache", stats.prefix_queries),
            ("prefix_cache_hits", "Tokens found in the prefix cache", stats.prefix_hits),
            ("num_preemptions", "Preemptions", stats.preemptions),
            ("prompt_tokens", "Prompt tokens processed", stats.prompt_tokens),
            ("generation_tokens", "Tokens generated", stats.generation_tokens),
            ("engine_steps", "Engine steps", stats.steps),
            ("engine_failures", "Requests that ended in an engine error", stats.failures),
            ("layers_skipped", "Layers that generated tokens did without", stats.layers_skipped),
            ("layers_caught_up", "Layers run later than the token they belong to", stats.layers_caught_up),
            ("draft_tokens", "Tokens drafted by shallow passes", stats.drafted),
            ("draft_accepted_tokens", "Drafts that the whole depth confirmed", stats.accepted),
            ("lookup_tokens", "Tokens guessed from n-grams", stats.looked_up),
            ("lookup_found_tokens", "Guesses from n-grams that were right", stats.found),
            ("kv_rewrites_blocked", "KV policies that an open thought kept", stats.rewrites_blocked),
        ):
            counter = CounterMetricFamily(PREFIX + name, text, labels=names)
            counter.add_metric(values, value)
            yield counter
        for name, text, label, seen, known in (
            ("exit_tokens", "Generated tokens by the layers that they ran", "layers", stats.exits, sorted(stats.exits)),
            ("tower_loads", "Towers loaded into memory", "tower", stats.tower_loads, _TOWERS),
            ("tower_unloads", "Towers dropped from memory", "tower", stats.tower_unloads, _TOWERS),
            ("tower_runs", "Pictures and clips that a tower ran on", "tower", stats.tower_runs, _TOWERS),
            ("graph_rewrites", "Plans changed while their request ran", "what", stats.rewrites, _REWRITES),
        ):
            family = CounterMetricFamily(PREFIX + name, text, labels=[*names, label])
            for value in known:
                family.add_metric([*values, str(value)], seen[value])
            yield family
        success = CounterMetricFamily(
            f"{PREFIX}request_success", "Finished requests by reason", labels=[*names, "finished_reason"]
        )
        for reason in _FINISHED:
            success.add_metric([*values, reason], stats.finished.get(reason, 0))
        yield success
        pages = GaugeMetricFamily(f"{PREFIX}cache_config_info", "KV cache", labels=[*names, "block_size", "num_blocks"])
        pages.add_metric([*values, str(stats.page_size), str(stats.num_pages)], 1)
        yield pages
        for field, (name, text) in _HISTOGRAMS.items():
            yield _histogram(PREFIX + name, text, names, values, getattr(stats, field))


class _ResponseCollector(Collector):
    """Reads the response cache's own numbers at each scrape."""

    def __init__(self, responses: ResponseCache):
        self._responses = responses

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        cache, name = self._responses, PREFIX + "response_cache_"
        yield CounterMetricFamily(name + "queries", "Requests looked up in the response cache", cache.queries)
        yield CounterMetricFamily(name + "hits", "Requests answered from the response cache", cache.hits)
        yield GaugeMetricFamily(name + "bytes", "Bytes of kept answers (estimated)", cache.bytes)
        yield GaugeMetricFamily(name + "entries", "Answers kept", len(cache))


def _histogram(name: str, text: str, labels: list[str], values: list[str], source: Any) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    total, buckets = 0, []
    for bound, count in zip((*source.bounds, float("inf")), source.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
    family.add_metric(values, buckets, sum_value=source.sum)
    return family
