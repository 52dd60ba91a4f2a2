"""What messages ask for, in many wordings, and questions that only look like it."""

import pytest

from app.answering.router import intent

MESSAGES = {
    "greets": """
        hi | Hello there! | Good morning | hey, how are you? | thanks! | Thank you very much for your help | thx | bye
        ok, got it | That was very helpful, thanks | Hallo! | guten Morgen | Guten Tag zusammen | vielen Dank!
        Danke schön | danke, das war sehr hilfreich | tschüss | Goedemorgen | hoi | dank je wel | bedankt voor je hulp
        hej | tak | mange tak for hjælpen | tusind tak | takk | tusen takk! | god morgen | hei hei | ha det bra
        Bună ziua | mulțumesc frumos | salut | mersi | bonjour | merci beaucoup ! | Bonsoir, comment ça va ? | au revoir
        hola | buenos días | muchas gracias | adiós | ¿qué tal?
        ciao! | buongiorno | grazie mille | molto utile, grazie | arrivederci | come stai?
        hej på dig | god morgon | tack så mycket! | tusen tack för hjälpen | det var mycket bra, tack | hej då
    """,
    "app": """
        Who are you? | what are you | What can you do? | hi, what can you do for me? | Which model is this?
        what model are you using? | does this leave my machine? | Is my data safe?
        Do you send my documents to the cloud?
        are you an AI? | are you ChatGPT | how do you work? | help | do you need internet? | can you speak German?
        Wer bist du? | was kannst du? | Was kannst du alles tun? | Welches Modell ist das? | bist du eine KI?
        Verlassen meine Daten den Rechner? | Wie funktionierst du? | Wie kannst du mir helfen? | wie ben je?
        wat kun je doen? | welk model is dit? | zijn mijn gegevens veilig? | hvem er du? | hvad kan du?
        hvilken model er det? | hvem er du | hva kan du gjøre? | hvilken modell bruker du? | cine ești?
        ce poți să faci? | ce model folosești? | qui es-tu ? | que peux-tu faire ? | quel modèle utilises-tu ?
        ¿quién eres? | ¿qué puedes hacer? | ¿qué modelo usas?
        chi sei? | che cosa puoi fare? | quale modello usi? | i miei dati sono al sicuro? | come puoi aiutarmi?
        vem är du? | vad kan du göra? | vilken modell är det? | lämnar mina data datorn? | hur kan du hjälpa mig?
    """,
    "overview": """
        What is in here? | what's here | What is in my documents? | which documents do you have? | list the files
        List all documents please | show me your documents | How many files are there?
        what documents can you see | What topics are covered? | what do you know?
        Was liegt hier? | was ist hier drin? | Welche Dokumente hast du? | Zeig mir alle Dateien
        Wie viele Dokumente gibt es? | Liste der Dokumente
        Welke documenten heb je? | wat staat hier? | hoeveel bestanden zijn er?
        Hvilke dokumenter har du? | hvad ligger her? | vis mig filerne | hvor mange dokumenter er der?
        hva ligger her? | hvilke filer finnes her? | ce documente ai? | ce este aici? | câte fișiere sunt?
        quels documents as-tu ? | qu'y a-t-il ici ? | liste des fichiers | combien de documents y a-t-il ?
        ¿qué hay aquí? | ¿qué documentos tienes? | ¿cuántos archivos hay?
        che documenti hai? | cosa c'è qui? | elenca i file | quanti documenti ci sono? | list all files
        vilka dokument har du? | vad finns här? | lista alla filer | hur många dokument finns det?
    """,
    "instructs": """
        shorter | make it shorter | in Danish | Translate that into French, please | as a table | explain that simpler
        and why? | Why is that? | say it in two sentences | more details | can you explain it like I'm five? | go on
        give me an example | I don't understand | summarise that in one sentence | as bullet points
        kürzer | kürzer bitte | auf Englisch | als Tabelle | erklär das einfacher | und warum? | Fasse das kurz zusammen
        in drei Sätzen | mehr Details | wie meinst du das? | übersetze das ins Niederländische | noch einmal | korter
        in het Engels | als tabel | leg dat eenvoudiger uit | waarom? | en waarom is dat zo? | kortere
        på engelsk | som en tabel | forklar det enklere | hvorfor? | kan du forklare det enklere? | på norsk
        mai scurt | în engleză | explică mai simplu | de ce? | plus court | en anglais | sous forme de tableau
        pourquoi ? | explique plus simplement | más corto | en inglés | ¿por qué? | explícalo más sencillo
        In Deutsch bitte | Rewrite the answer as an e-mail to my boss | Translate your last answer to English
        turn your answer into a letter | Write it as a short email for the team
        Schreib die Antwort als E-Mail an meinen Chef | Übersetze deine letzte Antwort ins Englische
        Réécris la réponse comme un e-mail à mon chef
        Traduis ta dernière réponse en anglais | Traduce tu última respuesta al inglés
        Vertaal je laatste antwoord naar het Engels | più breve | in inglese, per favore
        Traduci la tua ultima risposta in inglese | Riscrivi la risposta come un'e-mail al mio capo | come tabella
        spiegalo in modo più semplice | perché? | kortare | på engelska, tack | Översätt ditt senaste svar till engelska
        Skriv om svaret som ett mejl till min chef | som en tabell | förklara det enklare | varför?
    """,
}

SUMMARIES = """
    Summarize | Summarise this | Summary please | tl;dr | TLDR? | key points | Give me the key takeaways | Sum it up
    Can you summarize this for me? | What is this about? | What are the main points? | Give me an overview
    Give me an overview of the documents | Summarize everything | what are the documents about? | Explain this document
    Outline the document | a short summary in three sentences | Please summarise the document in five bullet points
    What does this document say? | in a nutshell | I need a quick summary of all documents | Recap, please
    Write an executive summary | Summarize the text | What is it about? | the gist of it | highlights?
    Worum geht es? | Worum geht's hier? | Fasse zusammen | Fass das bitte kurz zusammen | Zusammenfassung
    Kannst du das zusammenfassen? | Gib mir einen Überblick | Die wichtigsten Punkte bitte | Kernaussagen?
    Worum geht es in diesem Dokument? | Fasse die Dokumente in drei Sätzen zusammen | Um was geht es?
    Erstelle eine kurze Zusammenfassung | Was steht in diesem Dokument? | Worum geht es in den Dokumenten?
    Samenvatten | Vat samen | Samenvatting alstublieft | Waar gaat dit over? | Geef een overzicht van de documenten
    Kun je dit samenvatten? | Wat zijn de belangrijkste punten? | Vat het document kort samen | De kernpunten
    Résume | Résumez le document | Fais un résumé | De quoi s'agit-il ? | Quels sont les points clés ? | En bref
    De quoi parle ce document ? | Peux-tu résumer tout ça ? | Donne-moi un aperçu des documents | Un résumé court, stp
    Riassumi | Riassumi il documento | Fammi un riassunto | Di cosa parla? | Di che si tratta? | Punti principali
    Puoi riassumere questo? | Dammi una panoramica dei documenti | In breve, per favore | Quali sono i punti chiave?
    Resume | Resúmelo | Haz un resumen | ¿De qué trata? | ¿De qué va esto? | Puntos clave | Dame un resumen breve
    ¿Puedes resumir el documento? | ¿Cuáles son las ideas principales? | Un resumen de los documentos, por favor
    Opsummer | Giv mig et resumé | Hvad handler det om? | Hovedpunkterne, tak | Hvad er de vigtigste punkter?
    Kan du opsummere dokumentet? | Oppsummer | Gi meg et sammendrag | Hva handler dette om? | Hva er hovedpunktene?
    What are the highlights? | Bullet points please | Um was geht's? | Kan du lave et sammendrag?
    Ce scrie în document?
    Oppsummer dokumentene | Sammanfatta | Sammanfatta dokumentet | Ge mig en kort sammanfattning | Vad handlar det om?
    Kan du sammanfatta detta? | Vilka är de viktigaste punkterna? | Översikt, tack | Rezumă | Despre ce este vorba?
"""

LIKE_SUMMARIES = """
    What does the summary of the annual report say about costs? | Who wrote the overview of the harbour?
    How do I summarize a text with Foundry? | Was fasst der Behälter? | What is a summary? | What is an abstract?
    How long may the summary be? | When is the summary due? | Who has to sign the summary? | Is an overview required?
    Where is the overview of the fares? | What are the key points for a safe landing? | Which points are key to it?
    What is the main point of sale in Odda? | Who summarised the minutes? | How many key points does the lock have?
    What is this valve about to do? | What is the ferry about to change? | Why is a short summary needed?
    Which document has a summary? | Does the report have a summary? | What does tl;dr mean in a mail?
    Which summary was published in 2019? | What did the recap of the match say? | Who gave an overview of the results?
    What is the outline of the island like? | What are the highlights of the season? | Which highlights did they visit?
    How is the gist of a patent determined? | Is a digest the same as a hash? | Which abstract was accepted?
    Was ist eine Zusammenfassung? | Wie lang darf die Zusammenfassung sein? | Wer fasst das Protokoll zusammen?
    Wie viel fasst das Fass? | Wer schrieb die Übersicht der Fahrpläne? | Worum geht es bei der Abstimmung am Montag?
    Wo steht die Zusammenfassung des Berichts? | Welche Punkte sind wichtig für die Prüfung? | Wer gibt einen Überblick?
    Wat vat het vat? | Hoe lang mag de samenvatting zijn? | Wie schreef het overzicht? | Wat is een samenvatting?
    Qui a écrit le résumé ? | Quelle est la longueur du résumé ? | Quand la reprise a-t-elle lieu ?
    De quoi parle-t-on au conseil lundi ? | Combien de points clés a le contrat ? | Qu'est-ce qu'un résumé ?
    Chi ha scritto il riassunto? | Quanto deve essere lungo il riassunto? | Che cos'è un riassunto?
    Chi riassume la riunione? | Qui résume le procès ? | Que dit le résumé du rapport ? | Wat staat er in het overzicht?
    ¿Quién escribió el resumen? | ¿Qué es un resumen? | ¿Cuándo se publica el resumen? | ¿Qué puntos clave tiene la red?
    Hvem skrev resuméet? | Hvor langt må resuméet være? | Hva er et sammendrag? | Hvem skrev oversikten?
    Vem skrev sammanfattningen? | Vad är en sammanfattning? | Hur lång får sammanfattningen vara?
    What resume format is required? | How should a resume look? | When does work resume? | Can I resume the download?
"""

QUESTIONS = """
    What is in the first-aid kit? | thanks to whom was the library built? | Who are you supposed to call after a fire?
    What can you do about mould? | Which model of printer is in the office? | How many documents do I need for a visa?
    Which documents must be signed? | What is in the contract? | Hi, when does the ferry leave? | good morning routine
    Where do the files go when the printer is broken? | What is the greeting on the answering machine?
    Does the ferry leave in the morning? | Can data leave the building? | What is a language model? | list the members
    List the steps of the fire drill | Who made the bridge? | Who built the library? | Is it safe to drink the water?
    Does the model need the internet to start? | When did the train leave my town? | What is here called a passage?
    Why is the bridge closed? | Why does the ferry wait? | shorter days in winter | What is the table on page 4 about?
    Explain the table of fares | Which files are exempt from the rule? | How do you work the coffee machine?
    What is the folder in the hall for? | How does the ferry work? | Who is Escalator Smith? | Help for the homeless
    Wer bist du in der Geschichte? | Was liegt im Keller? | Was ist im Verbandskasten? | Was kann der Vermieter tun?
    Welche Dokumente muss ich mitbringen? | Wie viele Dateien darf ein Antrag haben? | Danke an wen wurde gesagt?
    Welches Modell hat die Heizung? | Guten Morgen Vietnam ist welcher Film? | Warum ist die Brücke gesperrt?
    Wie geht es dem Wald? | Worum geht es im Mietvertrag? | auf Englisch erschienene Bücher | Hilfe bei Brand
    Welke documenten heb ik nodig? | Wat zit er in de verbanddoos? | Hoeveel documenten moet ik inleveren?
    Wat kan de gemeente doen? | Waarom is de brug dicht? | Hvem er direktør? | Hvad kan kommunen gøre?
    Hvilke dokumenter skal jeg bruge? | Hva ligger i kjelleren? | Hvorfor er broen stengt? | Takk til hvem?
    Hvor mange filer må jeg levere? | Ce documente trebuie să aduc? | Ce este în trusa de prim ajutor?
    De ce este podul închis? | Cine este directorul? | Quels documents faut-il apporter ? | Qui est le directeur ?
    Qu'y a-t-il dans la trousse de secours ? | Pourquoi le pont est-il fermé ? | Que peut faire la commune ?
    ¿Qué documentos necesito? | ¿Qué hay en el botiquín? | ¿Quién es el director? | ¿Por qué está cerrado el puente?
    and the price? | in Germany? | and in winter? | how much is it? | what about children? | who is he? | when was that?
"""


def split(text: str) -> list[str]:
    return [message for line in text.strip().splitlines() for each in line.split("|") if (message := each.strip())]


@pytest.mark.parametrize(("kind", "message"), [(kind, each) for kind, text in MESSAGES.items() for each in split(text)])
def test_a_message_that_asks_nothing_of_the_text_is_known_for_what_it_is(kind: str, message: str) -> None:
    found = intent(message, goes_on=kind == "instructs")

    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("message", split(QUESTIONS))
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_question_that_looks_like_one_of_them_stays_a_question(message: str, goes_on: bool) -> None:
    found = intent(message, goes_on=goes_on)

    assert found is None or (found.kind == "summary" and all(found.names))  # which takes a document of that name


@pytest.mark.parametrize("message", split(SUMMARIES))
def test_a_request_for_a_summary_need_not_name_a_document(message: str) -> None:
    found = intent(message)

    assert found is not None
    assert found.kind == "summary"
    assert {"", "*"} & {*found.names}


@pytest.mark.parametrize("message", split(LIKE_SUMMARIES))
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_question_about_a_summary_is_no_request_for_one(message: str, goes_on: bool) -> None:
    found = intent(message, goes_on=goes_on)

    assert found is None or (found.kind == "summary" and not {"", "*"} & {*found.names})
