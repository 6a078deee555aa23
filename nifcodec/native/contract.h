/* Included by sources in which a product and a sum may be rounded once: the others are compiled without that. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT ON
#else
#pragma GCC optimize("fp-contract=fast")
#endif
