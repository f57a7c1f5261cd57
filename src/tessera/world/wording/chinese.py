"""Chinese, in simplified characters."""

from tessera.world.description import Side
from tessera.world.scene import Colour, Kind, Size
from tessera.world.wording.language import EditPhrases, Language, Listing, Noun, QuestionPhrases


def _noun(word: str) -> Noun:
    return Noun(word, word)


PLACED = "{at}有{thing}"

CHINESE = Language(
    name="zh",
    space="",
    articles=("一个", "一个"),
    vowels="",
    the="",
    thing=_noun("物体"),
    kinds={
        Kind.CIRCLE: _noun("圆形"),
        Kind.SQUARE: _noun("方形"),
        Kind.TRIANGLE: _noun("三角形"),
        Kind.CROSS: _noun("十字形"),
        Kind.STAR: _noun("星形"),
        Kind.RING: _noun("圆环"),
        Kind.DIAMOND: _noun("菱形"),
        Kind.HEART: _noun("心形"),
        Kind.DIGIT: _noun("数字"),
    },
    colours={
        Colour.RED: "红色",
        Colour.ORANGE: "橙色",
        Colour.YELLOW: "黄色",
        Colour.GREEN: "绿色",
        Colour.BLUE: "蓝色",
        Colour.PURPLE: "紫色",
        Colour.BLACK: "黑色",
        Colour.WHITE: "白色",
    },
    sizes={Size.SMALL: "小的", Size.LARGE: "大的"},
    places={
        2: (("左上角", "右上角"), ("左下角", "右下角")),
        3: (("左上角", "上方", "右上角"), ("左侧", "中央", "右侧"), ("左下角", "下方", "右下角")),
    },
    at="{place}",
    to="{place}",
    placed="{at}的{noun}",
    numbers=("零", "一", "二", "三", "四"),
    counts=("零个", "一个", "两个", "三个", "四个"),
    yes="是",
    no="否",
    sides={Side.LEFT: "左边", Side.RIGHT: "右边", Side.ABOVE: "上面", Side.BELOW: "下面"},
    relation="{b}的{side}有{a}",
    listing=Listing("{thing}", comma="、", last="和"),
    captions=(
        Listing(PLACED, comma="，", last="，"),
        Listing(PLACED, frame="图中{list}", comma="，", last="，"),
        Listing(PLACED, frame="可以看到{list}", comma="，", last="，"),
        Listing(PLACED, frame="{list}，没有别的", comma="，", last="，"),
        Listing(PLACED, frame="{count}：{list}", comma="，", last="，"),
        Listing(PLACED, comma="，", last="，还有"),
        Listing("{at}的{thing}", frame="图中是{list}", comma="、", last="和"),
        Listing("{at}是{thing}", comma="，", last="，"),
        Listing("{thing}在{at}", comma="，", last="，"),
        Listing("{thing}位于{at}", comma="，", last="，"),
        Listing("{place}：{thing}", comma="；", last="；"),
        Listing("在{at}画着{thing}", comma="，", last="，"),
    ),
    prompts=(
        "{list}",
        "画：{list}",
        "请画：{list}",
        "请画一幅画：{list}",
        "一张图：{list}",
        "图片内容：{list}",
        "生成一张图：{list}",
        "我想看到：{list}",
    ),
    questions=QuestionPhrases(
        exist=("有{the}吗？", "图中有{the}吗？", "能看到{the}吗？", "画里有没有{the}？"),
        exist_at=("{at}有{the}吗？", "图中{at}有{the}吗？", "{at}能看到{the}吗？"),
        count=("有几个{many}？", "图中有几个{many}？", "能看到几个{many}？", "{many}的数量是多少？"),
        colour=("{the}是什么颜色？", "{the}的颜色是什么？", "{the}是哪种颜色？"),
        shape=("{the}是什么形状？", "{the}的形状是什么？", "{the}是哪种形状？"),
        position=("{the}在哪里？", "{the}位于哪里？", "{the}在图中什么位置？"),
        size=("{the}是大是小？", "{the}有多大？", "{the}的大小是什么？"),
        relation=("{the}在{other}的{side}吗？", "{the}位于{other}的{side}吗？", "{other}的{side}是{the}吗？"),
        digit=("{the}是几？", "{the}是多少？", "读出{the}。"),
        more=("{many}比{others}多吗？", "图中{many}比{others}更多吗？"),
        same_colour=("{the}和{other}颜色相同吗？", "{the}与{other}是同一种颜色吗？"),
        larger=("{the}比{other}大吗？", "{the}比{other}更大吗？"),
        smaller=("{the}比{other}小吗？", "{the}比{other}更小吗？"),
    ),
    edits=EditPhrases(
        recolour=("把{the}变成{colour}", "把{the}涂成{colour}", "将{the}的颜色改为{colour}"),
        replace=("把{the}换成{a}", "把{the}变成{a}", "用{a}代替{the}"),
        remove=("去掉{the}", "删除{the}", "把{the}拿走"),
        add=("在{at}加{a}", "在{at}添上{a}", "在{at}画{a}"),
        move=("把{the}移到{to}", "将{the}移动到{to}", "把{the}挪到{to}"),
        resize=("把{the}变成{size}", "将{the}改成{size}", "让{the}变成{size}"),
    ),
    telling="{caption}。{question}{answer}",
)
