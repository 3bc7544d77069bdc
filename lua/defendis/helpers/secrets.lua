-- secrets.lua: names of fields that hold secrets, in one place.
--
-- The vendor documents no record fields: those of LOGIN, CODE, TRACK and CARD are the simulator's and the usual names, as records write
-- them; a dataset of the catalog says which of them it has, and a pipeline file adds to them. What is not listed there is not hidden.
-- PARTS and WHOLE are for records and URLs of which nobody said anything: a name is meant without its marks and capitals.
return {
  LOGIN = { "password", "passwords", "passwd", "pass", "pwd", "plaintext", "passwordHash", "password_hash", "hash", "hashedPassword",
    "hashed_password", "secret", "secrets", "token", "tokens", "accessToken", "access_token", "refreshToken", "refresh_token", "idToken",
    "id_token", "sessionToken", "session_token", "sessionId", "session_id", "cookie", "cookies", "apiKey", "api_key", "privateKey",
    "private_key", "seedPhrase", "seed_phrase", "securityAnswer", "security_answer" },
  CODE = { "pin", "otp", "totp", "cvv", "cvv2", "cvc", "cvc2", "securityCode", "security_code" }, -- an HMAC would not hide so few values
  TRACK = { "pinBlock", "pin_block", "track", "track1", "track2", "trackData", "track_data" },
  CARD = { "cardNumber", "card_number", "pan", "number", "card", "ccNumber", "cc_number" },

  PARTS = { "password", "passwd", "passphrase", "pwd", "secret", "token", "cookie", "cardnumber", "ccnumber", "cvv", "cvc", "apikey",
    "privatekey", "credential", "authorization", "sessionid", "mnemonic", "seedphrase" },
  WHOLE = { "pan", "pin", "pass", "csc", "key", "auth", "jwt", "otp", "totp" }, -- too short to be parts
}
