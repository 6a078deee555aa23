from nifcodec.cli.main import main

raise SystemExit(main())
