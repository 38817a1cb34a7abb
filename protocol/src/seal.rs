//! Keys and notes, sealed to those who may open them.
