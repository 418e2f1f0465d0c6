"""What PyTorch graphs and files need, whoever uses them: methods, runtimes, inspection."""
