/** The package for Fedora, RHEL and their kin (from RHEL 9: its systemd is the oldest that knows all that the unit says). */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repository } from './bundle.ts';
import type { PackageOptions } from './deb.ts';
import { settleModes, stageTree } from './tree.ts';

const run = promisify(execFile);

/** Writes the .rpm and gives its path. Needs rpmbuild. */
export async function buildRpm(options: PackageOptions): Promise<string> {
  const { workFolder, to, version, architecture, sourceDateEpoch, compression } = options;
  const [top, root] = [join(workFolder, 'rpm'), join(workFolder, 'rpm-tree')];
  for (const folder of [top, root]) await rm(folder, { recursive: true, force: true });
  await stageTree({ ...options, folder: root, zshFunctions: 'usr/share/zsh/site-functions' });
  await settleModes(root);
  await mkdir(top);
  const spec = join(top, 'dropledger.spec');
  await writeFile(spec, await specOf(root, options));

  const macros = {
    _topdir: top,
    _rpmdir: top,
    _build_name_fmt: 'package.rpm',
    _binary_payload: compression === 'xz' ? 'w6.xzdio' : 'w0.gzdio',
    _buildhost: 'localhost',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    source_date_epoch_from_changelog: '0',
  };
  const defines = Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(sourceDateEpoch) };
  await run('rpmbuild', ['-bb', '--quiet', '--target', `${architecture.gnu}-linux`, ...defines, spec], { env });

  await mkdir(to, { recursive: true });
  const file = join(to, `dropledger-${version}-1.${architecture.gnu}.rpm`);
  await run('mv', [join(top, 'package.rpm'), file]); // perhaps to another file system
  for (const folder of [top, root]) await rm(folder, { recursive: true });
  return file;
}

async function specOf(root: string, { version, maintainer }: PackageOptions): Promise<string> {
  const { description, license } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
  return `Name: dropledger
Version: ${version}
Release: 1
Summary: Uploads dropped files to S3 and records them in a ledger
License: ${license}
Packager: ${maintainer.replaceAll('%', '%%')}
Requires: glibc >= 2.28, libstdc++, systemd >= 249
AutoReqProv: no
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none

%description
${description}.
It brings a runtime, a systemd unit, and the commands to look after it.

%install
mkdir -p %{buildroot}
cp -a ${root}/. %{buildroot}/

%files
%defattr(-,root,root,-)
%dir /etc/dropledger
%config(noreplace) /etc/dropledger/config.json
/usr/bin/dropledger
/usr/lib/dropledger
/usr/lib/systemd/system/dropledger.service
/usr/lib/systemd/system/dropledger@.service
/usr/lib/sysusers.d/dropledger.conf
/usr/lib/tmpfiles.d/dropledger.conf
/usr/share/bash-completion/completions/dropledger
/usr/share/doc/dropledger
/usr/share/dropledger
/usr/share/fish/vendor_completions.d/dropledger.fish
/usr/share/man/man5/dropledger.json.5.gz
/usr/share/man/man8/dropledger.8.gz
/usr/share/zsh/site-functions/_dropledger

%post
systemd-sysusers dropledger.conf
systemd-tmpfiles --create dropledger.conf
[ ! -d /run/systemd/system ] || systemctl daemon-reload

%preun
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then systemctl stop dropledger.service 'dropledger@*.service'; fi

%postun
[ ! -d /run/systemd/system ] || systemctl daemon-reload

%posttrans
# After an upgrade: what is in flight gets its grace time, and what is left the new version takes up.
[ ! -d /run/systemd/system ] || systemctl try-restart dropledger.service 'dropledger@*.service' || :
`;
}
