"""The order that the tests place, and the demo in production mode."""

ORDER = {
    "email": "ada@example.com",
    "phone": "+44 20 7946 0000",
    "total_cents": "4200",
    "card_token": "tok_visa",
}
