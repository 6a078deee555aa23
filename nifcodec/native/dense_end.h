/* Undoes what dense.h and its includer define. */
#undef NIF_K
#undef NIF_TARGET
#undef NIF_WIDE
#undef NIF_VECTORS
#undef NIF_DEFINE
#undef VECTOR
#undef INTEGERS
