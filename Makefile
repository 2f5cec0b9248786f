# SPDX-License-Identifier: GPL-2.0
#
# Kernel TLS. What people type stands in GNUmakefile.

obj-$(CONFIG_TLS) += tls.o

tls-y := tls_main.o tls_sw.o tls_sw_tx.o tls_sw_rx.o tls_sw_open.o \
	 tls_strp.o tls_queue.o tls_record.o tls_proc.o trace.o
tls-$(CONFIG_TLS_DEVICE) += tls_device.o tls_device_tx.o tls_device_rx.o \
			    tls_device_fallback.o

CFLAGS_trace.o := -I$(src)

# Outside a kernel tree, our headers stand before the kernel's own.
ifneq ($(KBUILD_EXTMOD),)
LINUXINCLUDE := -I$(KBUILD_EXTMOD)/include -I$(KBUILD_EXTMOD)/include/uapi \
		$(LINUXINCLUDE)
endif

obj-$(CONFIG_TLS_KUNIT_TEST) += tests/
