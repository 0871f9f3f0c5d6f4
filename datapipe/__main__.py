from datapipe.cli import main

main()
