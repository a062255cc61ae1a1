//! The people of the simulated feed and what they have to say. Everything here is made up, and every
//! address is under a name reserved for examples. Only data; `talk.rs` makes posts of it.

#![forbid(unsafe_code)]

/// An author: id, handle, name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author(pub(crate) u32, pub(crate) &'static str, pub(crate) &'static str);

/// What the page tracks when it is not told otherwise: one of these occurs in each post.
pub(crate) const TOPICS: &[&str] = &[
    "garden", "coffee", "trains", "rust", "music", "sky", "baking", "cats", "books", "cycling",
    "html", "hills",
];

pub(crate) const AUTHORS: &[Author] = &[
    Author(101, "mira_okafor", "Mira Okafor"),
    Author(102, "tomasz_k", "Tomasz K."),
    Author(103, "junebug_bakes", "June Abara"),
    Author(104, "pelle_nord", "Pelle Nordström"),
    Author(105, "haru_writes", "Haru 🌸"),
    Author(106, "slowtrains", "Slow Trains"),
    Author(107, "the_allotment", "Plot 14b"),
    Author(108, "dara_codes", "Dara Quinn"),
    Author(109, "bruno_vls", "Bruno Velasco"),
    Author(110, "nightskyjo", "Jo under the stars"),
    Author(111, "ines_cycles", "Inês"),
    Author(112, "owl_library", "The Owl Library"),
    Author(113, "kofi_mensah", "Kofi Mensah"),
    Author(114, "lena_plays", "Lena ♪"),
    Author(115, "postcard_pete", "Pete"),
    Author(116, "zuzana_h", "Zuzana Horáková"),
    Author(117, "rainy_ruth", "Ruth, mostly rain"),
    Author(118, "arjun_builds", "Arjun Rao"),
    Author(119, "cafe_lindgren", "Café Lindgren"),
    Author(120, "mossandstone", "moss & stone"),
    Author(121, "yuki_tanabe", "田辺 ゆき"),
    Author(122, "el_farolero", "El Farolero"),
    Author(123, "grete_hikes", "Grete"),
    Author(124, "samovar_sam", "Sam O."),
    Author(125, "noor_illustrates", "Noor"),
    Author(126, "byte_sized_bea", "Bea <3 compilers"),
    Author(127, "old_harbour", "Old Harbour Radio"),
    Author(128, "theo_grows", "Theo grows things"),
    Author(129, "colette_m", "Colette M."),
];

/// Who writes in what besides English, by handle.
#[rustfmt::skip]
pub(super) const TONGUES: &[(&str, &str)] = &[
    ("de", "grete_hikes"), ("es", "el_farolero"), ("fr", "colette_m"), ("ja", "yuki_tanabe"),
    ("pt", "ines_cycles"), ("pl", "tomasz_k"),
];

/// Language, hashtag, sentence. Each sentence or its hashtag belongs to a topic above.
#[rustfmt::skip] // a table reads better than a column
pub(super) const LINES: &[(&str, &str, &str)] = &[
    ("en", "garden", "The {plant} finally came up. {n} days of talking to bare soil, and I was right all along. #garden"),
    ("en", "garden", "Found a {animal} asleep in the {plant}. The garden has a new head of security. #garden"),
    ("en", "garden", "Mowed nothing this month. The garden is thriving and so am I. #garden #nomow"),
    ("en", "garden", "Whoever left a bag of {plant} seeds on my doorstep: thank you, #garden stranger."),
    ("en", "coffee", "First #coffee of the day on the balcony. The street is still asleep."),
    ("en", "coffee", "{n} cups of {drink} in and the bug was a missing comma. #coffee"),
    ("en", "coffee", "New beans from {place} at the counter {when}. Tastes like apricot and good decisions. #coffee"),
    ("en", "coffee", "Ordered a #coffee, got someone else's, kept it. It was better."),
    ("en", "trains", "The {when} train from {place} has a window seat, a table and no signal. Bliss. #trains"),
    ("en", "trains", "Delayed by {n} minutes because of a {animal} on the line. It has been named. #trains"),
    ("en", "trains", "Took the slow line to {place}. {n} stations, one tunnel, zero regrets. #trains"),
    ("en", "rust", "It compiled, so I went for a walk. #rust"),
    ("en", "rust", "Replaced {n} callbacks with a loop that just reads the next line. Some days the boring way wins. #rust"),
    ("en", "rust", "The borrow checker and I disagreed for an hour. It was right. It was also polite about it. #rust"),
    ("en", "rust", "TIL that a million green threads fit where a few thousand OS threads would not. #rust"),
    ("en", "rust", "Code review comment of the week: \"this function is so calm\". #rust"),
    ("en", "music", "Busker outside {place} station playing the cello like nobody has anywhere to be. #music"),
    ("en", "music", "Rehearsal {when}. We have {n} songs, two of which have endings. #music"),
    ("en", "music", "Bought a record for its sleeve, stayed for side B. #music"),
    ("en", "sky", "Saturn and the Moon tonight, a thumb's width apart. Go outside and look up. #sky"),
    ("en", "sky", "Fog over {place} this morning, only the church tower above it. #sky"),
    ("en", "sky", "Counted {n} shooting stars from the roof, then it clouded over. #sky"),
    ("en", "baking", "Sourdough update: it has doubled, it smells of apples, I trust it with my life. #baking"),
    ("en", "baking", "Cardamom buns, batch {n}. The neighbours have started to knock \"by accident\". #baking"),
    ("en", "baking", "Recipe said a pinch. My grandmother's pinch was a tablespoon. #baking"),
    ("en", "cats", "The cat has decided that the keyboard is the warmest place in the house. jjjjjjjjjj #cats"),
    ("en", "cats", "Vet says she is \"sturdy\". She has heard and will remember. #cats"),
    ("en", "cats", "Bought a cat tree. They live in the box it came in. #cats"),
    ("en", "books", "Page {n} and I already want to hide this book from myself so that it lasts. #books"),
    ("en", "books", "Someone returned a book that was due {n} years ago, with a pressed {plant} inside. #books"),
    ("en", "books", "Second-hand shop in {place}: found my own handwriting in the margin. #books"),
    ("en", "cycling", "{n} km before breakfast, a headwind both ways, as is tradition. #cycling"),
    ("en", "cycling", "New bell on the bike. The {animal}s by the canal are not impressed. #cycling"),
    ("en", "hills", "Up before {when} for the ridge above {place}. Legs: gone. View: worth it. #hills"),
    ("en", "hills", "Met a {animal} at the summit. Neither of us had brought enough {drink}. #hills"),
    ("de", "garden", "Die Tomaten reifen, die Schnecken lauern. Jeden Abend Patrouille mit der Taschenlampe. #garden"),
    ("de", "baking", "Brot ist fertig. Außen kracht es, innen Wolken. #baking"),
    ("es", "coffee", "Un café, una mesa al sol y ninguna prisa. Así empieza bien el día. #coffee"),
    ("es", "music", "Anoche en {place} tocaron hasta que se apagaron las farolas. #music"),
    ("fr", "trains", "Le train longe la mer pendant {n} minutes et personne ne lève les yeux. Moi si. #trains"),
    ("fr", "books", "Pluie, thé, deux chapitres. Programme complet. #books"),
    ("ja", "sky", "今夜の月、びっくりするほど近い。#sky"),
    ("ja", "cats", "猫が段ボール箱から出てきません。今日で三日目です。 #cats"),
    ("pt", "cycling", "De bicicleta até ao mar: {n} km, dois furos, um gelado. #cycling"),
    ("pl", "hills", "Wschód słońca nad {place}, termos z herbatą i cisza. #hills"),
];

/// Posts that would break a page which trusts them.
pub(super) const MARKUP: &[&str] = &[
    "Wrote <b>bold</b> in a plain text field today and it stayed exactly that. Beautiful. #html",
    "<img src=x onerror=alert(1)> is what my cat typed. She is in security now. #html #cats",
    "Reminder: </script> in a post is just eight letters, a slash and two brackets. #html",
    "if (a < b && b > c) { tea(); } // still readable & still not markup #html",
    "My form said my name has &quot;illegal&quot; characters. It is O'Brien & it is staying. #html",
];

pub(super) const DRINKS: &[&str] =
    &["espresso", "filter coffee", "mint tea", "cold brew", "oolong", "cocoa"];
pub(super) const PLACES: &[&str] = &[
    "Lisbon",
    "Ghent",
    "Kraków",
    "Accra",
    "Kyoto",
    "Oaxaca",
    "Tromsø",
    "Valparaíso",
    "Trieste",
    "Leith",
];
pub(super) const PLANTS: &[&str] = &[
    "clover",
    "rhubarb",
    "sweet pea",
    "fennel",
    "meadow grass",
    "foxglove",
    "runner bean",
    "basil",
];
pub(super) const ANIMALS: &[&str] =
    &["hedgehog", "heron", "goat", "fox", "swan", "toad", "badger", "jackdaw"];
pub(super) const TIMES: &[&str] =
    &["six o'clock", "first", "late", "Sunday", "Thursday", "seven-thirty"];
pub(super) const PAGES: &[(&str, &str)] = &[
    ("notes.example", "small-joys"),
    ("meadow.example", "a-year-without-mowing"),
    ("slowtrains.example", "coastal-line"),
    ("owl-library.example", "new-arrivals"),
    ("example.org", "field-notes"),
    ("example.com", "bread/no-knead"),
];
