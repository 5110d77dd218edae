"""The vocabulary of the simulated service: codes are positions in these tuples."""

from __future__ import annotations

PLANS = ("free", "premium", "family")
GONE = -1  # the plan of a closed account
FREE, PREMIUM, FAMILY = range(3)

PLATFORMS = ("ios", "android", "web", "desktop", "speaker")
IOS, ANDROID, WEB, DESKTOP, SPEAKER = range(5)
SOURCES = ("playlist", "album", "artist", "search", "radio", "recommendation", "library")
REASONS = ("trackdone", "fwdbtn", "backbtn", "endplay")
TRACKDONE, FWDBTN, BACKBTN, ENDPLAY = range(4)

GENRES = (
    "pop", "rock", "hip-hop", "electronic", "indie", "jazz", "classical", "metal", "folk", "latin",
)  # fmt: skip

PAGES = (
    "Home", "Thumbs Up", "Thumbs Down", "Add to Playlist", "Roll Advert", "Upgrade", "Downgrade",
    "Help", "Error", "Settings", "Logout",
)  # fmt: skip
HOME, UP, DOWN, PLAYLIST, ADVERT, UPGRADE, DOWNGRADE, HELP, ERROR, SETTINGS, LOGOUT = range(11)

KINDS = ("sign_up", "upgrade", "downgrade", "cancel")
SIGN_UP, UPGRADED, DOWNGRADED, CANCELLED = range(4)

ACQUISITION = ("organic", "search", "social", "referral", "partner")
CHANNELS = ("email", "push", "social", "search", "display")
CAMPAIGNS = ("new_year", "winter_sale", "spring", "family_month")

ARTICLES = ("voucher_3_months", "voucher_12_months", "shirt", "cap", "vinyl", "concert_ticket")
ORDER_STATUSES = ("paid", "shipped", "cancelled", "returned")
PAID = 0  # the others are how it ends
CLIENTS = ("car", "speaker", "website", "partner_feed")
ENDPOINTS = ("/v1/play", "/v1/search", "/v1/catalogue")
PURPOSES = ("marketing", "personalisation")

DAMAGES = ("none", "negative_duration", "null_listener", "year_2099", "wrong_type", "cut_line")
NO_DAMAGE, NEGATIVE, NO_LISTENER, FAR_FUTURE, WRONG_TYPE, CUT_LINE = range(6)

GENDERS = ("F", "M", "X")
FIRST_NAMES = (
    "Ada", "Amir", "Anna", "Ben", "Bo", "Carla", "Dina", "Elif", "Emil", "Finn", "Greta", "Hana",
    "Igor", "Ines", "Jonas", "Kai", "Lena", "Liv", "Mara", "Max", "Nils", "Nora", "Olga", "Omar",
    "Pia", "Quinn", "Rosa", "Sam", "Tara", "Ugo", "Vera", "Yara",
)  # fmt: skip
LAST_NAMES = (
    "Andersson", "Baker", "Costa", "Dahl", "Evans", "Fischer", "Garcia", "Hansen", "Ito", "Jones",
    "Keller", "Larsen", "Meyer", "Nowak", "O'Brien", "Petrov", "Quist", "Rossi", "Schmidt",
    "Tanaka", "Ulrich", "Virtanen", "Weber", "Young",
)  # fmt: skip
TITLE_HEADS = (
    "Blue", "Silent", "Golden", "Broken", "Electric", "Midnight", "Paper", "Northern", "Velvet",
    "Hollow", "Distant", "Neon", "Winter", "Crystal", "Lonely", "Burning",
)  # fmt: skip
TITLE_TAILS = (
    "River", "Sky", "Hearts", "Signal", "Garden", "Mirror", "Highway", "Shadows", "Letters",
    "Ocean", "Fires", "Machines", "Promise", "Echo", "Morning", "Rain", '"Live"', "Café",
)  # fmt: skip

TICKET_CATEGORIES = ("billing", "playback", "account", "catalogue")
# TICKET_TEXTS to a category, in the order of the categories.
TICKET_TEXTS = 4
TICKET_BODIES = (
    # billing
    "I was charged twice this month, please refund one of the payments.",
    "My card was declined although there is money on it.",
    "The price went up and nobody told me.",
    "Where can I download my invoice?",
    # playback
    "The app stops after every second song since the last update.",
    "Offline songs disappear again and again.",
    "Shuffle plays the same ten tracks all day.",
    "Sound stutters on my speaker.",
    # account
    "I cannot log in on my new phone.",
    "How do I move my playlists to another account?",
    "Somebody else listens with my account.",
    "Please tell me how to cancel my plan.",
    # catalogue
    "Half of my favourite album is greyed out.",
    "The lyrics of this track are wrong.",
    "When will the new record be here?",
    "Two artists with one name are mixed up.",
)
# REVIEW_TEXTS to a number of stars, the fewest first.
REVIEW_TEXTS = 3
REVIEW_BODIES = (
    "Terrible, I skipped after ten seconds.",
    "Awful mix, hurts my ears.",
    "Not for me at all.",
    "Rather dull.",
    "Sounds like everything else.",
    "Expected more of this artist.",
    "It is okay.",
    "Nice in the background.",
    "Some good moments, some filler.",
    "Really good, on repeat this week.",
    "Great hook.",
    "Lovely voice and a warm sound.",
    "A masterpiece!",
    "Best track of the year, love it.",
    "Perfect from the first second.",
)
