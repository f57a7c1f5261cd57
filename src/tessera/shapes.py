"""The one legend of dimension names. Every jaxtyping annotation uses these words, each with one meaning.

Shapes are checked under pytest only (tests/conftest.py), so they cost nothing at work.
"""

LEGEND = {
    "row": "a row of a packed batch: one or more documents side by side, then padding",
    "place": "one position of the trunk",
    "query": "a place that looks",
    "key": "a place that is looked at",
    "field": "one fact about a place (see places.py)",
    "width": "features of a place inside the trunk",
    "head": "an attention head; `kvhead` where keys and values have fewer",
    "kvhead": "a head of keys and values",
    "size": "features of one attention head",
    "batch": "segments of one shape handled together",
    "other": "a segment of the same batch that one is compared with",
    "element": "one clean element of a segment: a token, a code, a patch",
    "feature": "features of a clean element",
    "state": "features of one head's memory (state-space trunks); `group` where heads share what goes in and out",
    "group": "heads that share what goes into their memory and out of it",
    "past": "places that a short convolution still reaches, or codes of an element that are known",
    "lead": "whatever stands before the rows: fields, or heads",
    "slot": "a row of the cache, in use or not",
    "capacity": "places that a row of the cache has room for",
    "channel": "features of a cell of a grid of pixels or codes",
    "frame": "one picture of a film",
    "level": "codes inside one element: of a residual quantizer, or of a piece of a grid",
    "branch": "rows that write one segment under guidance: as asked, and with the prompt dropped",
    "answer": "a hidden state that answers for one element",
    "value": "values a categorical law can take, or numbers that say what another law is",
    "component": "one Gaussian of a mixture",
    "attempt": "one of several draws, of which one is taken",
    "height": "pixels, or rows of codes, from top to bottom",
    "wide": "pixels, or columns of codes, from left to right (`width` is taken)",
    "number": "numbers in a row: times of a schedule, draws",
    "axis": "coordinates of a place: time, row, column",
}
