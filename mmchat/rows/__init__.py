"""Rows of JSON Lines: one data format for finetune, eval, import and export."""
