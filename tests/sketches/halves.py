"""An encoder and a decoder under orders that corrupt: pictures in any order, read again by an eye, and pictures along a flow."""

from torch import nn

from sketches.parts import (
    COLUMNS,
    PATCH,
    PIXELS,
    WIDTH,
    InPlace,
    NoisedReader,
    Regression,
    RowEndReader,
    SkipWriter,
    joint,
    patches,
    text_port,
)
from sketches.zoo import Flowed, Unmasked
from tessera.attention import apart, causal, prefix, within
from tessera.codecs import VQ, Autoencoder
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Masked
from tessera.ports import Port, Takes
from tessera.readers import HiddenReader, TokenReader
from tessera.system import System
from tessera.trunk import MLP, Block, CrossAttention, DecoderBlock, EncoderDecoder, GridRotary, PreNorm, SelfAttention
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}}


def halves(codes: int = 16) -> System:
    """Views and conditions pass the decoder; what is given passes the encoder."""
    vq, squares, text = Autoencoder(quantizer=VQ(size=codes, features=4), pixels=PIXELS, stride=PATCH, channels=16), patches(), text_port()
    tokens = {"reader": HiddenReader(TokenReader(nn.Embedding(codes, WIDTH), columns=COLUMNS), WIDTH), "writer": LinearWriter(WIDTH, codes)}
    law = Categorical(allowed=range(codes))
    unmasked = Port("unmasked", Unmasked, codec=vq, order=Masked(steps=3), law=law, takes=Takes.LEARNED, **tokens)
    eye = Port("eye", Unmasked, codec=squares, reader=RowEndReader(squares.features), takes=Takes.AFTERWARDS)
    noised = {"reader": NoisedReader(squares.features), "writer": SkipWriter(squares.features)}
    flowed = Port("flowed", Flowed, codec=squares, order=InPlace(), law=Regression(), **noised)

    step = lambda inner: PreNorm(nn.RMSNorm(WIDTH), inner, condition=WIDTH)
    look = lambda kind: step(kind(WIDTH, 2, kv_heads=1))
    mlp = lambda: step(MLP(WIDTH, 2 * WIDTH))
    decoder = [DecoderBlock(look(SelfAttention), look(CrossAttention), mlp()) for _ in range(2)]
    norms = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
    trunk = EncoderDecoder([Block(look(SelfAttention), mlp())], decoder, norms=norms, rotary=GridRotary(WIDTH // 2, theta=100.0))
    ports = (text, unmasked, eye, flowed)
    rule = (causal | prefix | within(unmasked) | within(eye) | within(flowed)) & apart
    stages = (joint(trunk, *(port.reader for port in ports), *(port.writer for port in ports if port.writes)),)
    return System("halves", trunk=trunk, ports=ports, attention=rule, stages=stages, drop=Absent())
