"""Whether a stream keeps its client waiting: a real event at once, then one in every 15 s (wire.md, section 3)."""

from .rules import must

OPENING_S, GAP_S = 2.0, 15.0


def check(arrivals, gap_s=GAP_S, opening_s=OPENING_S):
    """`arrivals`: (seconds since the headers, bytes) of each read, in order. A comment or a blank line is no event."""
    times = [when for when, piece in arrivals if is_event(piece)]
    must(times, "no event came at all")
    must(times[0] <= opening_s, f"the opening event came {times[0]:.1f} s after the headers")
    gaps = [later - sooner for sooner, later in zip(times, times[1:])]
    must(not gaps or max(gaps) <= gap_s, f"{max(gaps, default=0):.1f} s without an event, more than {gap_s:.0f} s")


def is_event(piece):
    return any(line.startswith((b"data:", b"{")) for line in piece.split(b"\n"))
