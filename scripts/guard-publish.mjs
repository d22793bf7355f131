/** Before `npm publish`: refuses, unless IMAGESTORE_PUBLISH names the version that shall be published. */
const { IMAGESTORE_PUBLISH, npm_package_version } = process.env;
if (IMAGESTORE_PUBLISH !== npm_package_version) {
  process.stderr.write(
    `to publish imagestore ${npm_package_version}, set IMAGESTORE_PUBLISH=${npm_package_version}\n`,
  );
  process.exit(1);
}
