"""Which questions are about the local model itself, and what it answers to them."""

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.fences import fenced, new_marker
from chatcli.graphs.chat.about_model import about_options, answer
from chatcli.models.model import About, Limits, Model
from chatcli.models.names import ModelName
from tests.bench.everyday_tasks import TASKS

ABOUT = About("Qwen", "Alibaba Cloud")
MODEL = Model(ModelName("local", "x"), FakeListChatModel(responses=[]), Limits(), about=ABOUT)
WHO = "I am Qwen, a language model made by Alibaba Cloud."
WHERE = "I run on your own computer, inside the program chat, without the internet. Nothing that you type leaves it."
PRIVATE = "Nothing that you type or attach leaves your computer: no company and no server gets it."
SEEN = "I see only what you type and the files that you attach. Nothing of that leaves your computer."


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Who are you?", WHO),
        ("what exactly are you", WHO),
        ("who r u", WHO),
        ("who are yuo", WHO),
        ("who creatd you", WHO),
        ("Which team developed you?", WHO),
        ("What's your name?", WHO),
        ("Tell me about yourself.", WHO),
        ("Are you ChatGPT?", WHO),
        ("Were you made by Anthropic?", WHO),
        ("Which company is behind you?", WHO),
        ("What model am I talking to?", WHO),
        ("which LLM is this", WHO),
        ("What language model powers this chat?", WHO),
        ("My boss wants to know it, so before we start: who are you, please, and who built you?", WHO),
        ("Where do you run?", WHERE),
        ("Which datacenter do you run in?", WHERE),
        ("On which machine do you do your calculations?", WHERE),
        ("Do you need an internet connection?", WHERE),
        ("Are you on my machine or in some network?", WHERE),
        ("does this leave my computer", PRIVATE),
        ("does anyhting i type leave my computr", PRIVATE),
        ("Do you send my files to OpenAI?", PRIVATE),
        ("is there a log at OpenAI?", PRIVATE),
        ("Is my data used for training?", PRIVATE),
        ("Before I continue: is this being recorded?", PRIVATE),
        ("Where does my data go?", PRIVATE),
        ("Where do my files go?", PRIVATE),
        ("Is it safe to paste passwords here?", PRIVATE),
        (
            "I have confidential code. If I paste it here, does it get uploaded, or can I be sure it stays here?",
            PRIVATE,
        ),
        ("can you see my files", SEEN),
        ("Can OpenAI read this?", SEEN),
        ("Is there a human reading this?", SEEN),
        ("Is someone at a company reading along?", SEEN),
        ("Can you look things up on the web?", WHERE),
        ("Who's behind this thing?", WHO),
        ("Is it safe to paste my client's medical records here?", PRIVATE),
        (
            "Kann jemand mitlesen?",
            "Ich sehe nur, was du eintippst, und die Dateien, die du anhängst. Nichts davon verlässt deinen Computer.",
        ),
        ("Who are you, and do you store what I type?", f"{WHO} {PRIVATE}"),
        ("Wer hat dich gemacht?", "Ich bin Qwen, ein Sprachmodell von Alibaba Cloud."),
        (
            "Wird das, was ich hier schreibe, irgendwo gespeichert?",
            "Was du eintippst oder anhängst, verlässt deinen Computer nicht: Keine Firma und kein Server bekommt es.",
        ),
        ("Qui t'a créé ?", "Je suis Qwen, un modèle de langage créé par Alibaba Cloud."),
        ("Bist du von OpenAI oder von Google?", "Ich bin Qwen, ein Sprachmodell von Alibaba Cloud."),
        ("¿Eres ChatGPT?", "Soy Qwen, un modelo de lenguaje creado por Alibaba Cloud."),
        ("你是谁\uff1f", "我是 Qwen,一个由 Alibaba Cloud 开发的语言模型。"),
        ("我的数据会发送到服务器吗?", "你输入和附加的内容都不会离开你的电脑:没有任何公司或服务器会收到。"),
    ],
)
def test_a_question_about_the_model_is_answered_by_facts(question: str, said: str) -> None:
    assert answer(question, ABOUT, alone=True) == said
    grammar = about_options({"messages": [HumanMessage(question)]}, MODEL, tools=False)["extra_body"]["grammar"]
    assert grammar.startswith(f'root ::= "{said}" ')


@pytest.mark.parametrize(
    "question",
    [
        "who made Python",
        "where does nginx keep its data",
        "which model of car should I buy?",
        "Which company makes the Model 3?",
        "write a privacy policy",
        "what is OpenAI",
        "What is ChatGPT and who made it?",
        "Do you know OpenAI?",
        "What is a language model?",
        "What is the cloud?",
        "Tell me about the internet.",
        "Does WhatsApp send my contacts to its servers?",
        "How do I share my files with a server?",
        "Can I run my code online?",
        "Can you see the bug in my files?",
        "Could you store this in a file?",
        "Read this text and tell me what is wrong: I has a cat.",
        "Why does my code not send the data to the server?",
        "My server does not run",
        "Who can read my medical records?",
        "Can my boss see my messages at work?",
        "Where do my files go when I delete them?",
        "Is it safe to share my password with a client?",
        "Can you search the web server for errors?",
        "Does this code run?",
        "Wie geht es dir?",
        "My data is stored in a folder.",
        "My laptop has no internet connection. What can be wrong with it?",
        "What's my name?",
        "How are you?",
        "Can you help me?",
        "Do you know who wrote Hamlet?",
        "Translate into German: who are you?",
        "What does 'who are you' mean in \"Othello\"?",
        "Is this function private?",
        "How do you make bread?",
        "How do you train a model?",
        "How do you delete a file?",
        "How do you run a company?",
        "Why do you need a server?",
        "Can you name a big company?",
        "Can you create a secure password?",
        "Can you make my text private?",
        "Can you tell me what a server is?",
        "Do you have a name for my robot?",
        "Do you like robots?",
        "Do you trust Google?",
        "What are you doing?",
        "Kannst du mir sagen, was ein Server ist?",
        "Hast du einen Namen für meine Firma?",
        "Peux-tu créer une entreprise ?",
        "As-tu un nom pour mon robot ?",
        "Wer hat Python gemacht?",
        "Wie speichere ich meine Dateien in der Cloud?",
        "Qu'est-ce que OpenAI ?",
        "¿Quién fundó Google?",
        "¿Qué es OpenAI?",
        "谁发明了电话?",
        "",
        *(turn for task in TASKS for turn in task.turns),
    ],
)
def test_other_questions_are_asked_as_they_are(question: str) -> None:
    assert answer(question, ABOUT, alone=True) == ""
    assert about_options({"messages": [HumanMessage(question)]}, MODEL, tools=False) == {}


def test_beside_a_file_or_an_earlier_turn_this_is_not_the_conversation() -> None:
    marker = new_marker()
    file = fenced([('<file name="a.py">', "x = 1")], marker, "</file>")
    earlier: list[BaseMessage] = [HumanMessage("What is Rust?"), AIMessage("A language.")]
    for text, told in (("Who made this?", False), ("Is this safe?", False), ("Who made you?", True)):
        assert bool(about_options({"messages": [HumanMessage(f"{text}\n\n{file}")]}, MODEL, tools=False)) is told
        assert bool(about_options({"messages": [*earlier, HumanMessage(text)]}, MODEL, tools=False)) is told
        assert about_options({"messages": [HumanMessage(text)]}, MODEL, tools=False)


def test_a_system_prompt_of_the_user_says_who_it_is() -> None:
    asked = [HumanMessage("Who are you?")]
    assert about_options({"messages": [*asked], "system": "You are a pirate."}, MODEL, tools=False) == {}


def test_a_model_without_a_known_maker_names_none() -> None:
    assert answer("Who made you?", About("My model", ""), alone=True) == "I am My model, a language model."


def test_what_tools_may_do_is_not_denied() -> None:
    for question, more in (("Do you send my files to OpenAI?", True), ("Who made you?", False)):
        said = answer(question, ABOUT, alone=True, tools=True)
        assert said.endswith(" With tools I can do more, if you allow it.") is more
