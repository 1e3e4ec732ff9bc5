/* SPDX-License-Identifier: BSD-2-Clause */
/* A static program that ends at once: what exec itself costs. */
int main(void)
{
	return 0;
}
