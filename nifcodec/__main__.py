from nifcodec.cli import main

raise SystemExit(main())
